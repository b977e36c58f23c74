import GRDB
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatSQLite

/// A file of a version before: what it holds is found as soon as this version has opened it, and indexed like all else.
///
/// One process has the file, so nothing of another version writes beside it. The rows are written by the statements of those
/// versions, recorded from their source.
@Suite(.timeLimit(.minutes(2))) struct SearchMigrationTests {
    /// The last step that each version knew: without blocks, with blocks that have no times, without the engine's tables,
    /// without keys.
    static let versions = ["0002-log-cursors", "0003-search-blocks", "0004-search-times", "0005-search-generations"]

    private static func fill(_ path: String, _ version: String) throws {
        let pool = try DatabasePool(path: path)
        try SQLiteMigrations.migrator.migrate(pool, upTo: version)
        try pool.write { db in
            try db.execute(sql: "PRAGMA application_id = \(FileOwner.applicationID)")
            try db.execute(
                sql: """
                    INSERT INTO applications (name, token, last_chat_number, chats_count, created_at, updated_at)
                    VALUES ('old', ?, 2, 2, 1, 1)
                    """, arguments: [String(repeating: "a", count: 32)])
            for chat in 1...2 {
                try db.execute(
                    sql: "INSERT INTO chats (application_id, number, created_at, updated_at) VALUES (1, ?, 1, 1)",
                    arguments: [chat])
                for number in 1...50 {
                    try db.execute(
                        sql: "INSERT INTO messages (chat_id, number, body, created_at) VALUES (?, ?, ?, ?)",
                        arguments: [chat, number, "word\(chat).\(number)x", number])
                }
                try db.execute(
                    sql: """
                        UPDATE chats SET last_message_number = ?, messages_count = messages_count + ?, updated_at = ?
                        WHERE id = ?
                        """, arguments: [50, 50, 1, chat])
                try db.execute(
                    sql: "UPDATE applications SET messages_count = messages_count + ?, updated_at = ? WHERE id = ?",
                    arguments: [50, 1, 1])
            }
            guard version == "0003-search-blocks" else { return }
            // A block of the first forty, as that version laid it out.
            try db.execute(
                sql: """
                    INSERT INTO search_blocks (
                        chat_id, first, last, application_id, fold_version, count, oldest_at, newest_at, numbers, folded
                    ) SELECT id, 1, 40, application_id, 1, 40, 1, 40, x'', CAST('nothing of that' AS BLOB)
                    FROM chats WHERE id = 1
                    """)
            try db.execute(sql: "INSERT INTO search_heads (chat_id, indexed_to, edits) VALUES (1, 40, 0)")
        }
        try pool.close()
    }

    @Test(arguments: versions)
    func whatAVersionBeforeHasWrittenIsFound(_ version: String) async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("old.sqlite")
        try Self.fill(path, version)
        let (store, file) = try SQLiteStore.openExclusively(path: path)
        let tenant = Tenant.ID(1)
        func expectAllFound() async throws {
            for chat in 1...2 as ClosedRange<Int64> {
                for number in 1...50 as ClosedRange<Int64> {
                    let query = SearchQuery(try SearchText("word\(chat).\(number)x"))
                    let inChat = try await store.search(query, in: Chat.ID(chat), page: Page())
                    #expect(inChat.items.map(\.number.rawValue) == [number])
                    let everywhere = try await store.search(query, in: tenant, page: TenantSearchPage())
                    #expect(everywhere.hits.map(\.message.number.rawValue) == [number])
                }
            }
        }
        try await expectAllFound()
        try await SearchUpkeep(store).rebuild { _, _ in }
        try await expectAllFound()
        let findings = try await SearchVerifier(index: store, messages: store).verify()
        #expect(findings.problems == [] && findings.messages == 100)
        #expect(try await store.verify { _, _ in }.isClean)
        try withExtendedLifetime(file) { try store.close() }
    }
}
