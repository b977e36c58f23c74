import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import TestSupport
import Testing

@testable import ChatCluster

/// The cost of the jobs on the servers, by their own counters: it depends on what changed, not on the size of the data.
@Suite(.timeLimit(.minutes(4))) struct JobsCostTests {
    private static let chats = 100_000
    private static let perApplication = 1000

    private struct Cost {
        var statements = 0
        var rows = 0
        var commands = 0
        var time = Duration.zero
    }

    private struct Place: Sendable {
        let test: TestCluster
        let mariadb: MariaDBServer
        let redis: RedisServer

        func cost(_ body: () async throws -> Void) async throws -> Cost {
            let first = try await look()
            let before = try await look()
            let start = ContinuousClock.now
            try await body()
            let time = ContinuousClock.now - start
            let after = try await look()
            // What looking itself costs is taken off.
            return Cost(
                statements: after.statements - before.statements - (before.statements - first.statements),
                rows: after.rows - before.rows - (before.rows - first.rows),
                commands: after.commands - before.commands - (before.commands - first.commands), time: time)
        }

        private func look() async throws -> Cost {
            var cost = Cost()
            let status = try await mariadb.sql(
                "SHOW GLOBAL STATUS WHERE Variable_name IN ('Questions') OR Variable_name LIKE 'Handler_read%';")
            for line in status.split(separator: "\n") {
                let parts = line.split(separator: "\t")
                let value = Int(parts[1]) ?? 0
                if parts[0] == "Questions" { cost.statements = value }
                // Reading the status itself walks a table of its own.
                if parts[0] != "Questions", !parts[0].contains("rnd") { cost.rows += value }
            }
            for line in try await redis.cli("INFO", "commandstats").split(whereSeparator: \.isNewline) {
                guard let call = line.wholeMatch(of: /cmdstat_[^:]+:calls=(\d+),.*/) else { continue }
                cost.commands += Int(call.1) ?? 0
            }
            return cost
        }
    }

    /// Runs `body` with 100,000 chats of three messages each, all right.
    private func run(_ body: (Place, [NewMessage]) async throws -> Void) async throws {
        let (mariadb, redis) = (
            try await MariaDBServer.start(["--innodb-buffer-pool-size=256M"]), try await RedisServer.start()
        )
        var configuration = try await TestCluster.configuration(mysql: mariadb.url(), redis: redis.url())
        configuration.redis.commandTimeout = .seconds(20)
        try await TestCluster.run(configuration) { test in
            for statement in [
                """
                INSERT INTO applications (name, token, created_at, updated_at)
                SELECT 'n', LPAD(seq, 32, '0'), NOW(6), NOW(6) FROM seq_1_to_\(Self.chats / Self.perApplication)
                """,
                """
                INSERT INTO chats (application_id, number, created_at, updated_at, batch_id)
                SELECT id, seq, '2025-01-01', NOW(6), 5 FROM applications, seq_1_to_\(Self.perApplication)
                WHERE id <> \(test.tenant.rawValue)
                """,
                """
                INSERT INTO messages (chat_id, number, body, created_at, updated_at, batch_id)
                SELECT id, seq, 'body', '2025-01-01', NOW(6), 5 FROM chats, seq_1_to_3 WHERE id <> \(test.chat.rawValue)
                """,
                """
                INSERT INTO application_counts SELECT id, 7, \(Self.perApplication), \(Self.perApplication * 3)
                FROM applications WHERE id <> \(test.tenant.rawValue)
                """,
                "ANALYZE TABLE applications, chats, messages, application_counts",
            ] { try await test.sql(statement) }
            let all = try await test.store.scans.withConnection { connection in
                try connection.rows("SELECT application_id, id FROM chats ORDER BY id") {
                    NewMessage(tenant: Tenant.ID($0.integer(0)), chat: Chat.ID($0.integer(1)), body: "new")
                }
            }
            #expect(all.count == Self.chats + 1)
            // The first runs find everything wrong, and where the positions are.
            try await test.sync()
            try await test.reconcile()
            #expect(try await test.wrongColumns() == [0, 0])
            try await body(Place(test: test, mariadb: mariadb, redis: redis), all)
        }
    }

    private func append(_ messages: [NewMessage], _ test: TestCluster) async throws {
        for start in stride(from: 0, to: messages.count, by: 500) {
            let batch = Array(messages[start..<min(start + 500, messages.count)])
            for result in try await test.store.append(batch, at: TestCluster.time) { _ = try result.get() }
        }
    }

    @Test func ofAHundredThousandChatsAThousandChanged() async throws {
        try await run { place, all in
            let changed = Array(stride(from: 0, to: all.count, by: all.count / 1000).map { all[$0] }.prefix(1000))
            // Once before, so that the statements are prepared.
            try await append(changed, place.test)
            try await place.test.sync()
            for (count, statements, rows, commands) in [(1000, 60, 8000, 12), (10, 25, 200, 4), (0, 6, 10, 0)] {
                try await place.test.dropSeenChanges()
                try await append(Array(changed.prefix(count)), place.test)
                let cost = try await place.cost { try await place.test.sync() }
                print("\(count) of \(Self.chats) chats changed: \(cost)")
                // Four chunks of chats and one of applications, each some statements.
                #expect(cost.statements <= statements, "\(count)")
                #expect(cost.rows <= rows, "\(count)")
                #expect(cost.commands <= commands, "\(count)")
            }
            #expect(try await place.test.wrongColumns() == [0, 0])
            let cost = try await place.cost { try await place.test.reconcile() }
            print("reconciled: \(cost)")
            #expect(cost.rows < 30_000, "some chats, whatever there are")
            try await place.test.dropSeenChanges()
            _ = try await place.redis.cli("FLUSHALL")
            try await append(Array(changed.prefix(500)), place.test)
            _ = try await place.redis.cli("FLUSHALL")
            let wiped = try await place.cost { try await place.test.sync() }
            print("after a wipe: \(wiped)")
            #expect(wiped.rows < 8000, "what changed is looked at, and no more")
            #expect(try await place.test.wrongColumns() == [0, 0])
        }
    }
}
