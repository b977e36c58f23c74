import ChatCore
import Foundation
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// Batches that meet others' locks, and each other.
@Suite(.timeLimit(.minutes(2))) struct LockTests {
    private static let waiting = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"

    /// A private server, on which no other test takes locks.
    private func run(_ options: [String] = [], _ body: (TestCluster, MariaDBServer) async throws -> Void) async throws {
        let server = try await MariaDBServer.start(options)
        try await TestCluster.run(TestCluster.configuration(mysql: server.url())) { try await body($0, server) }
    }

    /// A transaction that holds a batch's rows and wants what the batch holds: the server ends one of the two.
    @Test func aDeadlockIsTriedAgain() async throws {
        try await run { test, _ in
            let deadlocks =
                "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_DEADLOCKS'"
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            // The batch waits for a lock for a second, in which a busy machine starts no client program.
            let watch = try await MySQLConnection.connect(test.configuration.mysql)
            let chat = test.chat.rawValue
            try await test.send(1)
            var provoked = false
            for _ in 0..<20 where !provoked {
                // The batch inserts its message, which shares the chat's row, and then waits for the stripes; the other
                // holds those, is heavier, and wants the chat's row alone.
                try await other.perform { other in
                    try other.run("START TRANSACTION")
                    try other.run("INSERT INTO application_counts SELECT 77, seq, 0, 0 FROM seq_1_to_200")
                    try other.run("UPDATE application_counts SET messages = messages")
                    for stripe in 0..<64 {
                        try other.run(
                            """
                            INSERT INTO application_counts VALUES (\(test.tenant.rawValue), \(stripe), 0, 0)
                            ON DUPLICATE KEY UPDATE messages = messages + 0
                            """)
                    }
                }
                async let numbers = test.send(2, key: UUID().uuidString)
                try await eventually("the batch waits for the stripes") {
                    // The server shows the same as before to who asks again within a tenth of a second.
                    try await Task.sleep(for: .milliseconds(150))
                    return try await watch.perform { try $0.first(Self.waiting) { $0.integer(0) } } == 1
                }
                try await other.perform { other in
                    try? other.run("UPDATE chats SET messages_count = messages_count + 1 WHERE id = \(chat)")
                    try? other.run("ROLLBACK")
                }
                #expect(try await numbers.count == 2)
                provoked = try await watch.perform { try $0.first(deadlocks) { $0.text(0) } } != "0"
            }
            #expect(provoked)
            await other.close()
            await watch.close()
            #expect(try await test.verify(mends: true).problems == [])
            let stored = try await test.storedNumbers().count
            #expect(try await test.store.count(in: test.chat) == Int64(stored))
        }
    }

    @Test func aRowThatIsHeldDelaysOnly() async throws {
        try await run { test, server in
            try await test.send(1)
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            for column in ["chats", "applications"] {
                try await other.perform { other in
                    try other.run("START TRANSACTION")
                    try other.run("SELECT * FROM \(column) FOR UPDATE")
                }
                async let numbers = test.send(2)
                if column == "chats" {
                    try await eventually("the batch waits") { try await server.sql(Self.waiting) == "1" }
                }
                // Readers wait for nobody.
                #expect(try await test.store.message(Message.Number(1), in: test.chat) != nil)
                #expect(try await test.store.count(in: test.chat) ?? 0 > 0)
                try await other.perform { try $0.run("ROLLBACK") }
                #expect(try await numbers.count == 2)
            }
            await other.close()
            #expect(try await test.storedNumbers() == [1, 2, 3, 4, 5])
            #expect(try await test.verify().isClean)
        }
    }

    /// The server gives up waiting for a lock before the batch does.
    @Test func aLockWaitIsTriedAgain() async throws {
        try await run(["--innodb-lock-wait-timeout=1"]) { test, server in
            try await test.send(1)
            let other = try await MySQLConnection.connect(test.configuration.mysql)
            try await other.perform { other in
                try other.run("START TRANSACTION")
                try other.run("SELECT * FROM chats FOR UPDATE")
            }
            async let numbers = test.send(2)
            try await eventually("the batch was refused and came again") {
                let waits = try await server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
                return (Int(waits.split(separator: "\t").last ?? "") ?? 0) >= 2
            }
            try await other.perform { try $0.run("ROLLBACK") }
            #expect(try await numbers == [2, 3])
            await other.close()
            #expect(try await test.verify().isClean)
        }
    }

    /// Two nodes on one database and one Redis, and the same keys at the same time: one outcome.
    @Test func theSameKeysOnTwoNodesAtOnce() async throws {
        try await TestCluster.run { first in
            let store = try await MySQLStore(first.configuration, logger: TestCluster.logger)
            // Its Redis is not connected: this node asks the database for its numbers.
            for round in 0..<10 {
                let batch = try (0..<5).map { index in
                    NewMessage(
                        tenant: first.tenant, chat: first.chat, body: "\(index)",
                        key: try IdempotencyKey("\(round) \(index)", content: []))
                }
                let answers = try await withThrowingTaskGroup(of: [Int64].self) { tasks in
                    for node in [first.store, store, first.store, store, first.store, store, first.store, store] {
                        tasks.addTask {
                            try await node.append(batch, at: TestCluster.time).map { try $0.get().number.rawValue }
                        }
                    }
                    return try await tasks.reduce(into: Set<[Int64]>()) { $0.insert($1) }
                }
                #expect(answers.count == 1)
            }
            #expect(try await first.store.count(in: first.chat) == 50)
            #expect(try await first.sql("SELECT COUNT(*) FROM idempotency_keys") == [[50]])
            #expect(try await first.verify(mends: true).problems == [])
            #expect(try await first.verify().isClean)
            for pool in [store.reads, store.writes, store.scans] { await pool.close() }
        }
    }
}
