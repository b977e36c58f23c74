import Foundation
import GRDB
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatSQLite

/// A file of a version before access, as a process that was killed has left it: nothing of it is lost, and to this version all
/// of it is what the defaults say.
///
/// One process has the file, so nothing of another version writes beside it. The rows are written by the statements of that
/// version, recorded from its source.
@Suite(.timeLimit(.minutes(2))) struct AccessMigrationTests {
    /// The last step that the version before access knew, and those of versions since.
    static let versions = [
        "0005-search-generations", "0006-access", "0007-users", "0008-members", "0009-lifecycle", "0010-secrets",
    ]
    private static let token = String(repeating: "a", count: 32)
    private static let key = try! IdempotencyKey("k", content: Array("kept".utf8))

    /// The file with its log, copied while the process has it open.
    private func crashed(_ version: String, in folder: TemporaryFolder) throws -> String {
        let (path, copy) = (folder.file("old.sqlite"), folder.file("crashed.sqlite"))
        let pool = try DatabasePool(path: path)
        try SQLiteMigrations.migrator.migrate(pool, upTo: version)
        try pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA application_id = \(FileOwner.applicationID)")
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
        }
        try pool.write { db in
            try db.execute(
                sql: "INSERT INTO applications (name, token, created_at, updated_at) VALUES (?, ?, ?, ?)",
                arguments: ["old é😀", Self.token, 1, 1])
            for chat in 1...3 {
                try db.execute(
                    sql: "INSERT INTO chats (application_id, number, created_at, updated_at) VALUES (?, ?, ?, ?)",
                    arguments: [1, chat, chat, chat])
                try db.execute(
                    sql: """
                        UPDATE applications SET last_chat_number = ?, chats_count = chats_count + ?, updated_at = ?
                        WHERE id = ?
                        """, arguments: [chat, 1, 1, 1])
                for number in 1...40 {
                    try db.execute(
                        sql: "INSERT INTO messages (chat_id, number, body, created_at) VALUES (?, ?, ?, ?)",
                        arguments: [chat, number, "old \(chat).\(number)", number])
                }
                try db.execute(
                    sql: """
                        UPDATE chats SET last_message_number = ?, messages_count = messages_count + ?, updated_at = ?
                        WHERE id = ?
                        """, arguments: [40, 40, 1, chat])
                try db.execute(
                    sql: "UPDATE applications SET messages_count = messages_count + ?, updated_at = ? WHERE id = ?",
                    arguments: [40, 1, 1])
            }
            try db.execute(
                sql: """
                    REPLACE INTO idempotency_keys (scope, scope_id, key, fingerprint, number, created_at)
                    VALUES (?, ?, ?, ?, ?, ?)
                    """,
                arguments: ["chat", 1, "k", Data(Self.key.fingerprint), 7, TestStore.time.microseconds])
            // A version since that has the column gives every application one.
            if try db.columns(in: "applications").contains(where: { $0.name == "public_id" }) {
                try db.execute(
                    sql: "UPDATE applications SET public_id = ?", arguments: [Tenant.PublicID.random().text])
            }
        }
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
        }
        try pool.close()
        return copy
    }

    @Test(arguments: versions)
    func nothingOfAVersionBeforeIsLost(_ version: String) async throws {
        let folder = try TemporaryFolder()
        let (store, file) = try SQLiteStore.openExclusively(path: crashed(version, in: folder))
        let token = try #require(Tenant.Token(Self.token))
        let identity = try #require(try await store.identity(of: .token(token)))
        #expect(identity.pathToken == .credential && !identity.isSuspended && identity.rules == nil)
        let tenant = try #require(try await store.tenant(identity.id))
        #expect(tenant.name == "old é😀" && tenant.chatsCount == 3 && tenant.messagesCount == 120)
        #expect(try await store.identity(of: .publicID(tenant.publicID))?.id == identity.id)
        let chats = try await store.chats(in: identity.id, page: Page()).items
        #expect(chats.map(\.number.rawValue) == [1, 2, 3] && chats.allSatisfy { $0.settings.access == .open })
        for chat in 1...3 {
            let messages = try await store.messages(in: Chat.ID(Int64(chat)), page: Page()).items
            #expect(messages.map(\.body) == (1...40).map { "old \(chat).\($0)" })
            #expect(messages.allSatisfy { $0.content.sender == nil })
            let new = NewMessage(tenant: identity.id, chat: Chat.ID(Int64(chat)), body: "new")
            #expect(try await store.append([new], at: TestStore.time)[0].get().number.rawValue == 41)
        }
        // A retry of a create of before.
        let again = NewMessage(tenant: identity.id, chat: Chat.ID(1), body: "kept", key: Self.key)
        let replayed = try await store.append([again], at: TestStore.time)[0].get()
        #expect(replayed.number.rawValue == 7 && replayed.isReplay)
        #expect(
            try await store.append([NewChat(tenant: identity.id)], at: TestStore.time)[0].get().number.rawValue == 4)
        #expect(try await store.verify { _, _ in }.isClean)
        try withExtendedLifetime(file) { try store.close() }
    }
}
