import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster
@testable import ChatCore

/// A server with many rows, whose plans and reads are looked at.
enum PlanScene {
    /// The chat that most rows are in: where an optimizer is tempted to walk it from one end.
    static let large: Int64 = 5000
    static let chats: Int64 = 60

    struct Place: Sendable {
        let test: TestCluster
        let log: StatementLog

        /// - Parameters:
        ///   - rows: how many rows and index entries the server may look at.
        ///   - temporary: the table of which the server may make a temporary one.
        func check(
            _ what: String, rows: Int64, temporary: String? = nil, _ body: () async throws -> Void
        ) async throws {
            // Once before: statements are prepared, and connections made.
            try await body()
            let cost = try await log.during(body)
            #expect(!cost.statements.isEmpty, "\(what)")
            #expect(cost.rowsRead <= rows, "\(what): \(cost.statements.map(\.text))")
            for statement in cost.statements {
                for step in statement.plan {
                    // The derived table has been read by then: one row.
                    let isDerived = step.table.hasPrefix("<")
                    let isLookUp = ["const", "eq_ref", "ref", "range"].contains(step.access) && step.key != "NULL"
                    let isNone = step.extra.hasPrefix("Impossible") || step.extra.contains("No tables used")
                    #expect(isLookUp || isDerived || isNone, "\(what): \(step)\n\(statement.text)")
                    for word in ["filesort", "temporary", "join buffer", "checked for each record"]
                    where word != "temporary" || step.table != temporary {
                        #expect(!step.extra.contains(word), "\(what): \(step)\n\(statement.text)")
                    }
                }
            }
        }
    }

    /// What the store holds of these numbers, as a block.
    static func storeBlock(of chat: Chat.ID, _ numbers: ClosedRange<Int64>, _ test: TestCluster) async throws {
        var builder = SearchBlockBuilder(chat, after: numbers.lowerBound - 1)
        let limit = StreamLimits.Size(messages: numbers.count, bytes: 1 << 20)
        for entry in try await test.store.entries(in: chat, after: numbers.lowerBound - 1, limit: limit) {
            _ = builder.append(entry)
        }
        let head = try await test.store.heads(of: [chat])[chat] ?? SearchHead()
        let block = try #require(builder.block())
        #expect(try await test.store.store(block, at: head))
    }

    /// Runs `body` on a server of its own whose tables are full.
    ///
    /// - Parameter rails: whether they have Rails' other indexes as well.
    static func run(rails: Bool = false, _ body: (Place) async throws -> Void) async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        let configuration = try await TestCluster.configuration(mysql: server.url())
        try await TestCluster.run(configuration) { test in
            let (app, chat) = (test.tenant.rawValue, test.chat.rawValue)
            var statements = [
                """
                INSERT INTO applications (name, token, created_at, updated_at)
                SELECT 'n', LPAD(seq, 32, '0'), NOW(6), NOW(6) FROM seq_1_to_20
                """,
                """
                INSERT INTO chats (application_id, number, created_at, updated_at)
                SELECT id, seq, NOW(6), NOW(6) FROM applications, seq_1_to_\(Self.chats) WHERE id <> \(app) OR seq > 1
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT \(chat), seq, CONCAT('body ', seq), NOW(6), NOW(6) FROM seq_1_to_\(Self.large)
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                SELECT id, seq, 'body', NOW(6), NOW(6) FROM chats, seq_1_to_50
                WHERE application_id = \(app) AND id <> \(chat)
                """,
                "UPDATE chats SET counted_number = 45 WHERE application_id = \(app)",
                "UPDATE chats SET counted_number = \(Self.large - 10) WHERE id = \(chat)",
                "DELETE FROM application_counts",
                "INSERT INTO application_counts SELECT id, seq, 1, 5 FROM applications, seq_0_to_63",
                """
                INSERT INTO idempotency_keys
                SELECT 1, \(chat), CONCAT('k', seq), REPEAT('x', 32), seq, NOW(6) FROM seq_1_to_3000
                """,
            ]
            if rails {
                statements += [
                    "CREATE INDEX index_chats_on_application_id ON chats (application_id)",
                    "CREATE INDEX index_messages_on_chat_id ON messages (chat_id)",
                ]
            }
            statements.append("ANALYZE TABLE applications, chats, messages, application_counts, idempotency_keys")
            for statement in statements { try await test.sql(statement) }
            try await body(Place(test: test, log: StatementLog(server: server, database: "luciq")))
        }
    }
}
