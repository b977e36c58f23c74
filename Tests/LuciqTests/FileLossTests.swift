import Foundation
import GRDB
import TestSupport
import Testing

/// The database's files are lost under the server: it says so, answers no create from them, and leaves the answered
/// messages where the next start finds them.
@Suite(.timeLimit(.minutes(2))) struct FileLossTests {
    @Test(arguments: ["", "-wal"])
    func nothingThatWasAnsweredIsGone(_ suffix: String) async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        #expect(try await client.post(chat + "/messages", json: #"{"body":"before"}"#).status == 201)
        let (path, away) = (folder.file("test.sqlite"), folder.file("away"))
        try FileManager.default.moveItem(atPath: path + suffix, toPath: away)
        let refused = try await client.post(chat + "/messages", json: #"{"body":"after"}"#)
        #expect(refused.status == 503 && refused.text.contains("moved, replaced or damaged"))
        #expect(try await client.get("/readyz").status == 503)
        #expect(try await client.get("/livez").status == 200)
        // Nobody has asked for it.
        try await eventually("it is in the log") { server.errorText.contains("Database file lost") }
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        // The file alone has it all; the log beside it is of no use any more.
        if suffix.isEmpty { try FileManager.default.moveItem(atPath: away, toPath: path) }
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        let (again, second) = try await LuciqProcess.serve(in: folder)
        #expect(try await second.get(chat + "/messages").text.contains("before"))
        again.signal(SIGTERM)
        #expect(await again.wait().code == 0)
    }

    /// As Linux mounts a disk that has errors.
    @Test(.enabled("root has to mount it", { await getuid() == 0 ? SmallDisk.isPossible() : true }))
    func aReadOnlyFileIsNotReady() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        #expect(try await client.get("/readyz").status == 200)
        let path = folder.file("test.sqlite")
        if getuid() == 0 {
            try await runProgram(["mount", "--bind", path, path])
            try await runProgram(["mount", "-o", "remount,bind,ro", path])
        } else {
            chmod(path, 0o400)
        }
        let answer = try await client.get("/readyz")
        #expect(answer.status == 503)
        #expect(answer.text.contains("The database file cannot be written"), "\(answer.text)")
        #expect(try await client.get("/livez").status == 200)
        if getuid() == 0 {
            try await runProgram(["umount", path])
        } else {
            chmod(path, 0o600)
        }
        #expect(try await client.get("/readyz").status == 200)
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test func whatIsAnotherProgramsIsSaidInOneSentence() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("test.sqlite")
        let queue = try DatabaseQueue(path: path)
        try await queue.write { try $0.execute(sql: "CREATE TABLE payroll (a)") }
        try queue.close()
        for command in [
            ["serve", "--port", "0"], ["db", "migrate"], ["db", "reset", "--yes"], ["db", "status"], ["verify"],
        ] {
            let result = try await LuciqProcess.run(
                command + ["--database-url", "sqlite://" + path], in: folder)
            #expect(result.code == 69, "\(command)")
            #expect(
                result.errors == "luciq: \(path) is a database of another program; nothing was changed. "
                    + "Choose another DATABASE_URL.\n")
        }
    }
}
