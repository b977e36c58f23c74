import ChatCore
import Foundation
import GRDB
import TestSupport
import Testing

@testable import ChatSQLite

/// One way to damage the files under a running server. From then on no request may succeed.
@Suite(.timeLimit(.minutes(2))) struct FileLossTests {
    struct Deed: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let loss: FileLoss
        /// Given the folder and the file in it.
        let act: @Sendable (_ folder: String, _ path: String) throws -> Void
    }

    private static let files = FileManager.default

    private static func cut(_ path: String, to size: off_t) throws { try #require(truncate(path, size) == 0) }

    static let deeds = [
        Deed(testDescription: "removed", loss: .moved) { try files.removeItem(atPath: $1) },
        Deed(testDescription: "moved away", loss: .moved) { try files.moveItem(atPath: $1, toPath: $1 + ".old") },
        Deed(testDescription: "folder renamed", loss: .moved) { folder, _ in
            try files.moveItem(atPath: folder, toPath: folder + ".old")
        },
        Deed(testDescription: "folder replaced by a link", loss: .replaced) { folder, _ in
            try files.moveItem(atPath: folder, toPath: folder + ".old")
            try files.copyItem(atPath: folder + ".old", toPath: folder + ".new")
            try files.createSymbolicLink(atPath: folder, withDestinationPath: folder + ".new")
        },
        Deed(testDescription: "replaced by a copy", loss: .replaced) { _, path in
            try files.copyItem(atPath: path, toPath: path + ".copy")
            try #require(rename(path + ".copy", path) == 0)
        },
        Deed(testDescription: "-wal removed", loss: .logGone) { try files.removeItem(atPath: $1 + "-wal") },
        Deed(testDescription: "-shm removed", loss: .logGone) { try files.removeItem(atPath: $1 + "-shm") },
        Deed(testDescription: "-wal replaced", loss: .logGone) { _, path in
            try files.copyItem(atPath: path + "-wal", toPath: path + ".copy")
            try #require(rename(path + ".copy", path + "-wal") == 0)
        },
        Deed(testDescription: "-wal emptied", loss: .logCut) { try cut($1 + "-wal", to: 0) },
        Deed(testDescription: "-wal cut", loss: .logCut) { try cut($1 + "-wal", to: 5000) },
        Deed(testDescription: "emptied", loss: .overwritten) { try cut($1, to: 0) },
        Deed(testDescription: "cut", loss: .overwritten) { _, path in
            try cut(path, to: 4096)
        },
        Deed(testDescription: "written over with zeros", loss: .overwritten) { _, path in
            let handle = try #require(FileHandle(forUpdatingAtPath: path))
            try handle.write(contentsOf: Data(repeating: 0, count: 8192))
        },
    ]

    @Test(arguments: deeds) func noWriteIsAnswered(_ deed: Deed) async throws {
        let test = try await TestStore()
        let inner = test.folder.file("data")
        let path = inner + "/inner.sqlite"
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        let token = Tenant.Token.random()
        _ = try await store.apply([.create(name: "test", token: token)], at: TestStore.time)
        let tenant = try #require(try await store.id(of: token))
        let chat = try #require(try await store.append([NewChat(tenant: tenant)], at: TestStore.time)[0].get().id)
        let message = NewMessage(tenant: tenant, chat: chat, body: String(repeating: "x", count: 20_000))
        _ = try await store.append([message], at: TestStore.time)
        #expect(file.check() == nil)
        try store.probe()

        try deed.act(inner, path)
        let writes: [() async throws -> Void] = [
            { _ = try await store.append([message], at: TestStore.time) },
            { _ = try await store.append([NewChat(tenant: tenant)], at: TestStore.time) },
            { _ = try await store.apply([.update(tenant, name: "other")], at: TestStore.time) },
            { try store.probe() },
            { _ = try await store.count(in: chat) },
            { _ = try await store.search(SearchQuery(SearchText("x")), in: chat, page: Page()) },
        ]
        for write in writes { await #expect(throws: SQLiteFile.lost) { try await write() } }
        #expect(file.check() == deed.loss)
        try store.close()
    }

    /// A write during which the file is lost has an unknown outcome: the check before the transaction found nothing
    /// wrong yet.
    @Test func aFileThatGoesDuringAWriteIsNotAnsweredFrom() async throws {
        let test = try await TestStore()
        #expect(throws: ChatError.outcomeUnknown) {
            try test.store.write { _ in try FileManager.default.removeItem(atPath: test.path) }
        }
    }

    @Test func aLostFileIsNotTrustedWhenItIsBack() async throws {
        let test = try await TestStore()
        try FileManager.default.moveItem(atPath: test.path, toPath: test.path + ".old")
        #expect(test.file.check() == .moved)
        try FileManager.default.moveItem(atPath: test.path + ".old", toPath: test.path)
        #expect(throws: SQLiteFile.lost) { try test.store.probe() }
    }

    /// A checkpoint of another process shortens the log and writes into the file, and a VACUUM shortens the file.
    @Test func whatSQLiteDoesIsNoLoss() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        let body = String(repeating: "x", count: 60_000)
        for _ in 0..<3 {
            try await test.send(Array(repeating: body, count: 100), to: chat)
            #expect(test.file.check() == nil)
            try await test.store.pool.writeWithoutTransaction { db in
                try db.execute(sql: "DELETE FROM messages WHERE body != ''; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
            }
            #expect(test.file.check() == nil)
        }
    }

    /// A file that was moved away has everything that was answered, with its log checkpointed; another file's log is
    /// left alone.
    @Test func aMovedFileHoldsAllThatWasAnswered() async throws {
        let test = try await TestStore()
        let chat = try await test.makeChat()
        try await test.send(["a", "b"], to: chat)
        let moved = test.folder.file("moved.sqlite")
        try FileManager.default.moveItem(atPath: test.path, toPath: moved)
        try "another's".write(toFile: test.path + "-wal", atomically: true, encoding: .utf8)
        try test.store.close()
        #expect(try String(contentsOfFile: test.path + "-wal", encoding: .utf8) == "another's")
        let copy = try SQLiteStore(path: moved, file: nil)
        #expect(try await copy.messages(in: chat, page: Page()).items.map(\.body) == ["a", "b"])
        try copy.close()
    }
}
