import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

/// An embedded database is backed up while its server runs, and restored; an incomplete copy is detected.
@Suite(.timeLimit(.minutes(3))) struct BackupTests {
    private func luciq(
        _ arguments: [String], _ database: String, in folder: TemporaryFolder
    ) async throws -> (code: Int32, output: String, errors: String) {
        try await LuciqProcess.run(arguments, in: folder, environment: ["DATABASE_URL": "sqlite://" + database])
    }

    /// A server with a chat, to which some clients write without a pause.
    private func whileWriting(
        in folder: TemporaryFolder,
        _ body: (_ chat: String, _ client: Client, _ answered: () -> Int64) async throws -> Void
    ) async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    while !progress.isDone.withLock(\.self) {
                        let answer = try await client.post(chat + "/messages", json: #"{"body":"a message"}"#)
                        #expect(answer.status == 201)
                        progress.answered.withLock { $0 += 1 }
                    }
                }
            }
            let result = await Result.of {
                try await eventually("some are written") { progress.answered.withLock(\.self) > 200 }
                try await body(chat, client) { progress.answered.withLock(\.self) }
            }
            progress.isDone.withLock { $0 = true }
            try await group.waitForAll()
            try result.get()
        }
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test func aBackupOfARunningServerHasAllThatWasAnswered() async throws {
        let folder = try TemporaryFolder()
        let (path, copy) = (folder.file("test.sqlite"), folder.file("copy.sqlite"))
        try await whileWriting(in: folder) { _, _, answered in
            let before = answered()
            let backup = try await luciq(["db", "backup", copy], path, in: folder)
            #expect(backup.code == 0 && backup.output.hasPrefix("\(copy) is a backup of"), "\(backup)")
            #expect(backup.errors.contains("100 %"))
            // One file, for nobody else, whole without a log.
            #expect(!FileManager.default.fileExists(atPath: copy + "-wal"))
            let attributes = try FileManager.default.attributesOfItem(atPath: copy)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            let verified = try await luciq(["verify", "--json"], copy, in: folder)
            #expect(verified.code == 0, "\(verified)")
            struct Report: Decodable { let messages: Int64 }
            #expect(try JSONDecoder().decode(Report.self, from: Data(verified.output.utf8)).messages >= before)
            // It is never written over.
            let again = try await luciq(["db", "backup", copy], path, in: folder)
            #expect(again.code == 69 && again.errors == "luciq: \(copy) is there already. Choose another name.\n")
        }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy { !$0.hasSuffix(".partial") })
    }

    @Test func aRestoreBringsItBackAndKeepsWhatWasThere() async throws {
        let folder = try TemporaryFolder()
        let (path, copy) = (folder.file("test.sqlite"), folder.file("copy.sqlite"))
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        #expect(try await client.post(chat + "/messages", json: #"{"body":"first"}"#).status == 201)
        #expect(try await luciq(["db", "backup", copy], path, in: folder).code == 0)
        #expect(try await client.post(chat + "/messages", json: #"{"body":"second"}"#).status == 201)

        let refused = try await luciq(["db", "restore", copy], path, in: folder)
        #expect(refused.code == 69 && refused.errors.contains("is using \(path)"), "\(refused)")
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        let restored = try await luciq(["db", "restore", copy], path, in: folder)
        #expect(
            restored.code == 0 && restored.output == "\(path) is restored from \(copy). Messages: 1.\n", "\(restored)")

        let (again, second) = try await LuciqProcess.serve(in: folder)
        let list = try await second.get(chat + "/messages")
        #expect(list.text.contains("first") && !list.text.contains("second"))
        // Who has seen what was lost is told, and so is who might have.
        #expect(list["Luciq-Cursor"] == "e2.1.0")
        for cursor in ["2", "2.0", "1", "1.0", "e2.2.0", "e3.1"] {
            for path in ["stream?after=\(cursor)", "changes?after=\(cursor)"] {
                let refused = try await second.get("\(chat)/\(path)")
                #expect(refused.status == 409 && refused.json["code"] as? String == "cursor_epoch", "\(path)")
                #expect(refused.json["cursor"] as? String == "e2.1.0")
            }
        }
        let changes = try await second.get(chat + "/changes?after=0.0")
        #expect(changes.json["cursor"] as? String == "e2.1.0")
        #expect(try await second.get(chat + "/changes?after=e2.1.0").status == 200)
        again.signal(SIGTERM)
        #expect(await again.wait().code == 0)
        #expect(try await luciq(["verify"], path, in: folder).code == 0)
        let (kept, third) = try await LuciqProcess.serve(
            in: folder, environment: ["DATABASE_URL": "sqlite://" + path + ".before-restore"])
        #expect(try await third.get(chat + "/messages").text.contains("second"))
        kept.signal(SIGTERM)
        #expect(await kept.wait().code == 0)
        let twice = try await luciq(["db", "restore", copy], path, in: folder)
        #expect(twice.code == 69 && twice.errors.contains("from an earlier restore"))
    }

    /// The answers of a killed server are in its log, which is backed up with the rest, and replaced by a restore.
    @Test func afterAKillAllIsThere() async throws {
        let folder = try TemporaryFolder()
        let (path, copy) = (folder.file("test.sqlite"), folder.file("copy.sqlite"))
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        #expect(try await client.post(chat + "/messages", json: #"{"body":"first"}"#).status == 201)
        server.signal(SIGKILL)
        await server.wait()
        let backup = try await luciq(["db", "backup", copy], path, in: folder)
        #expect(backup.code == 0, "\(backup)")
        for file in [path, copy] {
            let verified = try await luciq(["verify"], file, in: folder)
            #expect(verified.code == 0 && verified.output.contains("messages:     1"), "\(verified)")
        }
        // A reader of the file prevents the checkpoint of its log.
        let reader = try DatabaseQueue(path: path)
        let refused = try await luciq(["db", "restore", copy], path, in: folder)
        #expect(refused.code == 69 && refused.errors.contains("Another program has \(path) open"), "\(refused)")
        try reader.close()
        let restored = try await luciq(["db", "restore", copy], path, in: folder)
        #expect(restored.code == 0 && restored.output.contains("Messages: 1."), "\(restored)")
        let kept = try await luciq(["verify"], path + ".before-restore", in: folder)
        #expect(kept.code == 0 && kept.output.contains("messages:     1"), "\(kept)")
    }

    /// A file that is not a backup leaves the database unchanged.
    @Test func whatIsNoBackupIsRefused() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        #expect(try await luciq(["db", "migrate"], path, in: folder).code == 0)
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let text = folder.file("text")
        try Data("This is a text that is long enough to be a file.".utf8).write(to: URL(fileURLWithPath: text))
        for (file, reason) in [
            (folder.file("nothing"), "There is no file"), (text, "is not a SQLite database"),
            (path, "is the database itself"),
        ] {
            let result = try await luciq(["db", "restore", file], path, in: folder)
            #expect(result.code == 69 && result.errors.contains(reason), "\(result)")
            #expect(result.errors.split(separator: "\n").count == 1)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        let nowhere = try await luciq(["db", "backup", folder.file("no/such/folder")], path, in: folder)
        #expect(nowhere.code == 69 && nowhere.errors.hasPrefix("luciq: Cannot create"), "\(nowhere)")
        let cluster = try await LuciqProcess.run(
            ["db", "backup", folder.file("x")], in: folder,
            environment: ["DATABASE_URL": "mysql://u:p@127.0.0.1/db", "REDIS_URL": "redis://127.0.0.1"])
        #expect(cluster.code == 78 && cluster.errors.contains("mysqldump"))
    }

    /// `cp` of the database file alone leaves out what is in its log.
    @Test func aCopyWithoutItsLogIsNotBlessed() async throws {
        let folder = try TemporaryFolder()
        let (path, copy) = (folder.file("test.sqlite"), folder.file("copy.sqlite"))
        try await whileWriting(in: folder) { _, _, _ in
            try await runProgram(["cp", path, copy])
            // Reading the copy does not make it look complete.
            for command in [["verify"], ["db", "backup", folder.file("backup")], ["verify"]] {
                let result = try await luciq(command, copy, in: folder)
                #expect(
                    result.code != 0 && (result.output + result.errors).contains("its -wal is missing"), "\(result)")
            }
        }
        let (server, _) = try await LuciqProcess.serve(in: folder, environment: ["DATABASE_URL": "sqlite://" + copy])
        #expect(server.errorText.contains("Database log missing"))
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        // After an orderly end the file is whole by itself.
        try await runProgram(["cp", path, folder.file("stopped.sqlite")])
        #expect(try await luciq(["verify"], folder.file("stopped.sqlite"), in: folder).code == 0)
    }
}

/// What the writers share.
private final class Progress: Sendable {
    let answered = Mutex<Int64>(0)
    let isDone = Mutex(false)
}

extension Result where Success: Sendable, Failure == any Error {
    /// What a body returns or throws.
    fileprivate static func of(_ body: () async throws -> Success) async -> Self {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
