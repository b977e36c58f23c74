import ChatCore
import Foundation
import MySQLClient
import RedisClient
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatCluster

#if os(Linux)  // Homebrew has no Galera.
    /// Two nodes are written at the same time, each by a store of its own. Locks are a node's own there: who came second
    /// learns it at the commit.
    @Suite(.serialized, .timeLimit(.minutes(3))) struct GaleraTests {
        /// Late appends on one node, and readers that settle the same numbers on the other: one of them has each number.
        @Test func anAppendAndAVoidNeverShareANumber() async throws {
            try await run { here, there, _ in
                var given: [Int64] = []
                for round in 0..<100 {
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
                #expect(given.count == 2000)
                try await expectSame(given, here, there)
                let voids = try await here.sql("SELECT COUNT(*) FROM messages WHERE batch_id = -1")[0][0]
                #expect(voids > 0, "no void was ever first, so nothing was shown")
            }
        }

        /// Without Redis each node's writers go on after the chat's highest number, which the other's have taken meanwhile.
        @Test func withoutRedisBothNodesAreWritten() async throws {
            try await run { here, there, redis in
                redis.kill()
                let given = try await withThrowingTaskGroup(of: [Int64].self) { group in
                    for writer in 0..<10 {
                        for (name, store) in [("here", here.store), ("there", there)] {
                            group.addTask { try await here.send(10, key: "\(name)\(writer)-", by: store) }
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(given.sorted() == Array(1...200))
                try await expectSame(given, here, there)
            }
        }

        /// A named lock does not reach the other node.
        @Test func migratorsOnTwoNodesDoNoHarm() async throws {
            let galera = try await GaleraCluster.start(2)
            for round in 0..<5 {
                let name = "luciq_\(round)"
                _ = try await galera.nodes[0].sql("CREATE DATABASE \(name) CHARACTER SET utf8mb4")
                var configurations: [ClusterConfiguration] = []
                for node in galera.nodes {
                    configurations.append(try await TestCluster.configuration(mysql: node.url(database: name)))
                }
                try await RailsDatabase.make(configurations[0])
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
            _ body: (_ here: TestCluster, _ there: MySQLStore, _ redis: RedisServer) async throws -> Void
        ) async throws {
            let galera = try await GaleraCluster.start(2)
            let redis = try await RedisServer.start()
            try await TestCluster.run(TestCluster.configuration(mysql: galera.nodes[0].url(), redis: redis.url())) {
                here in
                let there = try await MySQLStore(
                    TestCluster.configuration(mysql: galera.nodes[1].url(), redis: redis.url()),
                    logger: TestCluster.logger)
                try await there.run { _ in try await body(here, there, redis) }
            }
        }

        /// Expects that both nodes hold these messages and void rows between them, and nothing else.
        private func expectSame(_ given: [Int64], _ here: TestCluster, _ there: MySQLStore) async throws {
            let numbers = "SELECT number FROM messages WHERE batch_id > 0 ORDER BY number"
            #expect(try await here.sql(numbers).map { $0[0] } == given.sorted())
            let all = "SELECT CAST(SUM(CRC32(CONCAT_WS(' ', chat_id, number, body, batch_id))) AS SIGNED) FROM messages"
            let sum = try await here.sql(all)[0][0]
            try await eventually("the nodes agree") {
                try await there.scans.withConnection { try $0.first(all) { $0.integer(0) } } == sum
            }
            #expect(try await here.verify(mends: true).problems == [])
            #expect(try await there.count(in: here.chat) == Int64(given.count))
        }
    }
#endif
