import ChatCore
import Foundation
import MySQLClient
import RedisClient
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

#if os(Linux)  // Homebrew has no Galera.
    /// Two stores write to two nodes at the same time. Each node has its own locks, so the second writer learns of a
    /// conflict at the commit.
    @Suite(.serialized, .timeLimit(.minutes(3))) struct GaleraTests {
        /// For all tests: it takes ten seconds to start.
        private static let galera = Task { try await GaleraCluster.start() }

        /// Late appends on one node, and readers that settle the same numbers on the other: exactly one of them gets
        /// each number.
        @Test func anAppendAndAVoidNeverShareANumber() async throws {
            try await run { here, there, _, _ in
                var given: [Int64] = []
                for round in 0..<150 {
                    let next = (given.max() ?? 0) + 1
                    given += try await withThrowingTaskGroup(of: [Int64].self) { group in
                        for writer in 0..<2 {
                            group.addTask { try await here.send(10, key: "\(round)-\(writer)-") }
                        }
                        for number in next..<next + 20 {
                            group.addTask {
                                _ = try await there.settle(Message.Number(number), in: here.chat)
                                return []
                            }
                        }
                        return try await group.reduce(into: []) { $0 += $1 }
                    }
                }
                #expect(given.count == 3000)
                try await expectSame(given, here, there)
                let voids = try await here.sql("SELECT COUNT(*) FROM messages WHERE batch_id = -1")[0][0]
                #expect(voids > 0, "no void was ever first, so nothing was shown")
            }
        }

        /// Without Redis the writers on each node continue after the chat's highest number, which writers on the other
        /// node have taken meanwhile.
        @Test func withoutRedisAllNodesAreWritten() async throws {
            try await run { here, there, galera, redis in
                var configuration = here.configuration
                configuration.mysql.port = galera.nodes[2].port
                let third = try await MySQLStore(configuration, logger: TestCluster.logger)
                redis.kill()
                let given = try await withThrowingTaskGroup(of: [Int64].self) { group in
                    for writer in 0..<10 {
                        for (name, store) in [("here", here.store), ("there", there), ("third", third)] {
                            group.addTask { try await here.send(10, key: "\(name)\(writer)-", by: store) }
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(given.sorted() == Array(1...300))
                for pool in [third.reads, third.writes, third.scans] { await pool.close() }
                try await expectSame(given, here, there)
            }
        }

        /// A node that is cut off from the others refuses statements, and the outcome of commits in progress is
        /// unknown. A writer that waits long enough gets its answer; one that does not gets `outcome_unknown` and
        /// leaves no holes.
        @Test func aNodeThatIsCutOff() async throws {
            try await run { here, _, galera, _ in
                var configuration = here.configuration
                configuration.patience = .milliseconds(200)
                let (patient, hasty) = (Told(), Told())
                try await MySQLStore(configuration, logger: TestCluster.logger).run { other in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        // A chat each: one is never in two batches of a process.
                        for _ in 0..<3 {
                            let chats = (try await here.anotherChat(), try await here.anotherChat())
                            group.addTask { try await patient.write(to: chats.0, here.store, here.tenant) }
                            group.addTask { try await hasty.write(to: chats.1, other, here.tenant) }
                        }
                        try await patient.see(stored: 100)
                        try await galera.isolate(galera.nodes[0])
                        try await hasty.see(refused: 300)
                        try await galera.rejoin(galera.nodes[0])
                        try await patient.see(stored: 100)
                        try await hasty.see(stored: 100)
                        (patient.isOver, hasty.isOver) = (true, true)
                        try await group.waitForAll()
                    }
                }
                #expect(patient.refused.isEmpty && patient.doubtful.isEmpty)
                let bodies = try await here.store.scans.withConnection { connection in
                    try connection.rows("SELECT body FROM messages WHERE batch_id > 0") { $0.text(0) }
                }
                let stored = Set(bodies)
                #expect(stored.count == bodies.count, "one is stored twice")
                #expect(stored.isSuperset(of: patient.stored.union(hasty.stored)), "answered, and not there")
                #expect(stored.isDisjoint(with: hasty.refused), "refused, and stored all the same")
                let holes = try await here.sql(
                    "SELECT CAST(SUM(n) AS SIGNED) FROM (SELECT MAX(number) - COUNT(*) AS n FROM messages GROUP BY chat_id) AS t"
                )[0][0]
                // Only batches in progress when the node was cut off leave holes, not later ones.
                #expect(holes <= hasty.doubtful.count + 6 * Told.batch)
                #expect(try await here.verify(mends: true).problems == [])
            }
        }

        /// A named lock does not reach the other node.
        @Test func migratorsOnTwoNodesDoNoHarm() async throws {
            let galera = try await Self.galera.value
            for round in 0..<5 {
                let name = "migrated_\(round)"
                _ = try await galera.nodes[0].sql("CREATE DATABASE \(name) CHARACTER SET utf8mb4")
                var configurations: [ClusterConfiguration] = []
                for node in galera.nodes.prefix(2) {
                    configurations.append(try await TestCluster.configuration(mysql: node.url(database: name)))
                }
                try await RailsDatabase.make(configurations[0])
                // A node that has a part of the tables would take them for another program's.
                try await eventually("the other node has what Rails made") {
                    // Its tables may be missing yet.
                    (try? await galera.nodes[1].sql("SELECT COUNT(*) FROM messages", database: name)) == "13"
                }
                let keepers = configurations.map { MySQLKeeper($0, logger: TestCluster.logger) }
                let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                    for keeper in keepers { group.addTask { try await keeper.migrate() } }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(applied.sorted() == Migration.all.filter { !$0.isRails }.map(\.version))
                for keeper in keepers {
                    let status = try await keeper.status()
                    #expect(status.pending == [])
                    #expect(status.chats == 5 && status.messages == 13)
                }
            }
        }

        private func run(
            _ body: (TestCluster, _ there: MySQLStore, GaleraCluster, RedisServer) async throws -> Void
        ) async throws {
            let galera = try await Self.galera.value
            let redis = try await RedisServer.start()
            let name = "luciq_\(UInt32.random(in: 0...(.max)))"
            _ = try await galera.nodes[0].sql("CREATE DATABASE \(name) CHARACTER SET utf8mb4")
            func configuration(_ node: MariaDBServer) async throws -> ClusterConfiguration {
                try await TestCluster.configuration(mysql: node.url(database: name), redis: redis.url())
            }
            try await TestCluster.run(configuration(galera.nodes[0])) { here in
                let another = try await configuration(galera.nodes[1])
                try await eventually("the other node has the schema") {
                    try await MySQLKeeper(another, logger: TestCluster.logger).status().pending.isEmpty
                }
                let there = try await MySQLStore(another, logger: TestCluster.logger)
                try await there.run { _ in try await body(here, there, galera, redis) }
            }
        }

        /// Expects that both nodes hold these messages and void rows between them, and nothing else.
        private func expectSame(_ given: [Int64], _ here: TestCluster, _ there: MySQLStore) async throws {
            let numbers = "SELECT number FROM messages WHERE batch_id > 0 ORDER BY number"
            // Messages answered by the other node may arrive a moment later.
            try await eventually("all are here, and nothing else") {
                try await here.sql(numbers).map { $0[0] } == given.sorted()
            }
            let all = "SELECT CAST(SUM(CRC32(CONCAT_WS(' ', chat_id, number, body, batch_id))) AS SIGNED) FROM messages"
            let sum = try await here.sql(all)[0][0]
            try await eventually("the nodes agree") {
                try await there.scans.withConnection { try $0.first(all) { $0.integer(0) } } == sum
            }
            #expect(try await here.verify(mends: true).problems == [])
            #expect(try await there.count(in: here.chat) == Int64(given.count))
        }
    }

    /// The outcomes that writers got for their messages.
    private final class Told: Sendable {
        static let batch = 5

        private struct State {
            var stored: Set<String> = []
            var refused: Set<String> = []
            var doubtful: Set<String> = []
            var isOver = false
        }

        private let state = Mutex(State())

        var stored: Set<String> { state.withLock(\.stored) }
        var refused: Set<String> { state.withLock(\.refused) }
        var doubtful: Set<String> { state.withLock(\.doubtful) }
        var isOver: Bool {
            get { state.withLock(\.isOver) }
            set { state.withLock { $0.isOver = newValue } }
        }

        /// Returns when so many more were stored or refused.
        func see(stored: Int = 0, refused: Int = 0) async throws {
            let goals = (self.stored.count + stored, self.refused.count + refused)
            try await eventually("\(stored) more are stored, \(refused) more refused", within: 60) {
                self.stored.count >= goals.0 && self.refused.count >= goals.1
            }
        }

        /// Appends one batch without keys after the other.
        func write(to chat: Chat.ID, _ store: MySQLStore, _ tenant: Tenant.ID) async throws {
            var round = 0
            while !isOver {
                round += 1
                let bodies = (0..<Self.batch).map { "\(chat.rawValue) \(round) \($0)" }
                let batch = bodies.map { NewMessage(tenant: tenant, chat: chat, body: $0) }
                do {
                    for result in try await store.append(batch, at: TestCluster.time) { _ = try result.get() }
                    state.withLock { $0.stored.formUnion(bodies) }
                } catch ChatError.outcomeUnknown {
                    state.withLock { $0.doubtful.formUnion(bodies) }
                } catch ChatError.unavailable {
                    state.withLock { $0.refused.formUnion(bodies) }
                }
            }
        }
    }
#endif
