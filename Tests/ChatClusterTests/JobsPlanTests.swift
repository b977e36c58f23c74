import ChatCore
import ChatJobs
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// The query plans of the jobs: every statement uses an index.
@Suite(.timeLimit(.minutes(3))) struct JobsPlanTests {
    /// - Parameter rails: whether the tables have Rails' other indexes as well.
    private func run(rails: Bool, _ body: (TestCluster, StatementLog) async throws -> Void) async throws {
        let server = try await MariaDBServer.start(StatementLog.options)
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { test in
            var statements = [
                """
                INSERT INTO applications (name, token, created_at, updated_at)
                SELECT 'n', LPAD(seq, 32, '0'), NOW(6), NOW(6) FROM seq_1_to_3000
                """,
                """
                INSERT INTO chats (application_id, number, created_at, updated_at, batch_id)
                SELECT id, seq, '2025-01-01', NOW(6), 5 FROM applications, seq_1_to_4 WHERE id <> \(test.tenant.rawValue)
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id)
                SELECT id, seq, 'body', '2025-01-01', NOW(6), 5 FROM chats, seq_1_to_5
                """,
                "DELETE FROM application_counts",
                """
                INSERT INTO application_counts SELECT id, seq, IF(seq = 0, 4, 0), IF(seq = 0, 20, 0)
                FROM applications, seq_0_to_20
                """,
                """
                INSERT INTO idempotency_keys
                SELECT 1, seq, CONCAT('k', seq), REPEAT('x', 32), seq, NOW(6) - INTERVAL seq MINUTE FROM seq_1_to_12500
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
            try await test.reconcile()
            try await test.sync()
            try await body(test, StatementLog(server: server, database: "luciq"))
        }
    }

    @Test(arguments: [false, true])
    func everythingByAnIndex(_ rails: Bool) async throws {
        try await run(rails: rails) { test, log in
            let tenants = try await test.sql("SELECT id FROM applications ORDER BY id LIMIT 30").map {
                Tenant.ID($0[0])
            }
            let chats = try await test.sql("SELECT id FROM chats ORDER BY id LIMIT 70").map { Chat.ID($0[0]) }
            func change() async throws {
                try await test.send(toEach: chats)
                _ = try await test.store.append(tenants.map { NewChat(tenant: $0) }, at: TestCluster.time)
                try await test.sql(
                    """
                    INSERT INTO messages (chat_id, number, body, created_at, updated_at)
                    SELECT chat_id, MAX(number) + 3, 'x', '2025-01-01', NOW(6) FROM messages WHERE chat_id < 20
                    GROUP BY chat_id
                    """)
            }
            let works: [(String, () async throws -> Void)] = [
                ("sync", { try await test.sync() }), ("reconcile", { try await test.reconcile() }),
                ("expire", { try await ExpireIdempotencyKeys(context: test.context()).perform(NoArguments()) }),
                (
                    "recount",
                    {
                        // Some chunks of it.
                        let context = test.context { if $0 == 6 { throw Killed() } }
                        try? await Recount(context: context).perform(NoArguments())
                    }
                ),
            ]
            for (name, work) in works {
                try await change()
                let cost = try await log.during(work)
                #expect(!cost.statements.isEmpty)
                for statement in cost.statements {
                    for step in statement.plan {
                        let isLookUp =
                            ["const", "eq_ref", "ref", "range"].contains(step.access) && step.key != "NULL"
                            // A page of a walk from the start.
                            || step.access == "index" && step.rows <= 1000
                        let isNone =
                            step.extra.hasPrefix("Impossible") || step.extra.contains("No tables used")
                            || step.extra.contains("Select tables optimized away")
                            || step.extra.hasPrefix("No matching")
                        #expect(isLookUp || isNone, "\(name): \(step)\n\(statement.text.prefix(400))")
                        for word in ["filesort", "temporary", "join buffer"] {
                            #expect(!step.extra.contains(word), "\(name): \(step)\n\(statement.text.prefix(400))")
                        }
                    }
                }
            }
            try await Recount(context: test.context()).perform(NoArguments())
            #expect(try await test.wrongColumns() == [0, 0])
        }
    }
}
