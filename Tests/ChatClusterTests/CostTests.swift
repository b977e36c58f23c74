import ChatCore
import Metrics
import MySQLClient
import RedisClient
import ServiceLifecycle
import TestSupport
import Testing

@testable import ChatCluster

/// The cost of an append on the servers, by their own counters.
@Suite(.timeLimit(.minutes(2))) struct CostTests {
    /// Counters of both servers, or what was added to them.
    private struct Costs {
        var mariadb: [String: Int] = [:]
        /// `total_reads_processed` is how often Redis found something to read: round trips, and not commands.
        var redisReads = 0
        var redisBytes = 0
        var redisCalls: [String: Int] = [:]

        var batches: Int { mariadb["Com_commit", default: 0] }
        /// One before a commit and one after it, and Redis takes at most 16 KiB at a time.
        var redisReadsExpected: Int { 2 * batches + redisBytes / 16_384 }

        static func - (left: Costs, right: Costs) -> Costs {
            Costs(
                mariadb: left.mariadb.merging(right.mariadb, uniquingKeysWith: -).filter { $0.value != 0 },
                redisReads: left.redisReads - right.redisReads,
                redisBytes: left.redisBytes - right.redisBytes,
                redisCalls: left.redisCalls.merging(right.redisCalls, uniquingKeysWith: -).filter { $0.value != 0 })
        }
    }

    private struct Place: Sendable {
        let backend: Backend
        let service: ChatService
        let mariadb: MariaDBServer
        let redis: RedisServer

        /// The cost of `body`, without the cost of measuring.
        func costs(_ body: () async throws -> Void) async throws -> Costs {
            let before = try await look()
            let idle = try await look() - before
            let start = try await look()
            try await body()
            return try await look() - start - idle
        }

        private func look() async throws -> Costs {
            var costs = Costs()
            let status = try await mariadb.sql(
                """
                SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_select', 'Com_insert', 'Com_update', 'Com_begin',
                    'Com_commit', 'Com_rollback', 'Com_stmt_prepare', 'Questions');
                """)
            for line in status.split(separator: "\n") {
                let parts = line.split(separator: "\t")
                costs.mariadb[String(parts[0])] = Int(parts[1])
            }
            let info = try await redis.cli("INFO", "all")
            for line in info.split(whereSeparator: \.isNewline) {
                if line.hasPrefix("total_reads_processed:") { costs.redisReads = Int(line.dropFirst(22)) ?? 0 }
                if line.hasPrefix("total_net_input_bytes:") { costs.redisBytes = Int(line.dropFirst(22)) ?? 0 }
                guard let call = line.wholeMatch(of: /cmdstat_([^:]+):calls=(\d+),.*/) else { continue }
                costs.redisCalls[String(call.1)] = Int(call.2)
            }
            return costs
        }
    }

    /// Runs `body` on servers of its own, with a chat whose caches are warm.
    private func run(_ body: (Place, [ChatScope]) async throws -> Void) async throws {
        let (mariadb, redis) = (try await MariaDBServer.start(), try await RedisServer.start())
        var configuration = try await TestCluster.configuration(mysql: mariadb.url(), redis: redis.url())
        configuration.migrates = true
        configuration.accessInterval = .seconds(3600)
        let backend = try await Backend.cluster(configuration, logger: TestCluster.logger)
        let service = ChatService(backend: backend, logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: service.services, logger: TestCluster.logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let token = try await service.createTenant(name: "a").token
            var chats: [ChatScope] = []
            for _ in 0..<4 {
                let tenant = try await service.access(Credentials(application: token.text[...])).tenant
                chats.append(try await tenant.chat("\(tenant.createChat().number.rawValue)"))
            }
            let failure: (any Error)?
            do {
                // Four at once, so that each of the connections that will be used has prepared its statements.
                for _ in 0..<8 { try await send(64, to: chats) }

                try await body(Place(backend: backend, service: service, mariadb: mariadb, redis: redis), chats)
                failure = nil
            } catch {
                failure = error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            if let failure { throw failure }
        }
    }

    /// All at once, so that they gather in batches.
    private func send(_ count: Int, to chats: [ChatScope], key: String? = nil) async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for index in 0..<count {
                let key = try key.map { try IdempotencyKey("\($0)\(index)", content: []) }
                tasks.addTask {
                    _ = try await chats[index % chats.count].send(MessageContent(body: "m\(index)"), key: key)
                }
            }
            try await tasks.waitForAll()
        }
    }

    @Test func oneMessageAfterTheOther() async throws {
        try await run { place, chats in
            func sendEach() async throws {
                for _ in 0..<40 {
                    let tenant = try await place.service.access(
                        Credentials(application: chats[0].tenant.token.text[...])
                    )
                    .tenant
                    _ = try await tenant.chat("1").send(MessageContent(body: "hello"))
                }
            }
            // Once before, for each connection to prepare what it needs.
            try await sendEach()
            let costs = try await place.costs { try await sendEach() }
            // One insert of the row and one of the count.
            #expect(costs.batches == 40 && costs.mariadb["Com_begin"] == 40)
            // And a change in half a minute.
            #expect((80...84).contains(costs.mariadb["Com_insert", default: 0]))
            #expect((160...164).contains(costs.mariadb["Questions", default: 0]))
            for none in ["Com_select", "Com_update", "Com_rollback"] { #expect(costs.mariadb[none] == nil, "\(none)") }
            #expect(costs.mariadb["Com_stmt_prepare", default: 0] <= 2)
            // The number before the commit, the copy of the count after it.
            #expect(costs.redisReads <= 80)
        }
    }

    @Test func manyAtOnce() async throws {
        try await run { place, chats in
            let costs = try await place.costs { try await send(2000, to: chats) }
            #expect(costs.batches < 400, "2000 messages that wait for each other gather")
            #expect(costs.mariadb["Com_begin"] == costs.batches)
            // Two of 256 rows at most, three each of the smaller sizes, and one for the counts.
            #expect(costs.mariadb["Com_insert", default: 0] <= 15 * costs.batches)
            for none in ["Com_select", "Com_update", "Com_rollback"] { #expect(costs.mariadb[none] == nil, "\(none)") }
            #expect(costs.redisReads <= costs.redisReadsExpected)
        }
    }

    @Test(arguments: [1, 64, 512])
    func statementsABatch(_ size: Int) async throws {
        try await run { place, chats in
            let log = place.backend.chatLog
            let batch = (0..<size).map { index in
                let chat = chats[index % chats.count]
                return NewMessage(tenant: chat.tenant.id, chat: chat.id, body: "m")
            }
            for _ in 0..<12 { _ = try await log.append(batch, at: TestCluster.time) }
            let costs = try await place.costs {
                for _ in 0..<10 { _ = try await log.append(batch, at: TestCluster.time) }
            }
            #expect(costs.batches == 10)
            // And changes in half a minute.
            let inserts = size == 512 ? 30 : 20
            #expect((inserts...inserts + 4).contains(costs.mariadb["Com_insert", default: 0]))
            #expect(costs.mariadb["Com_select"] == nil)
            #expect(costs.redisReads <= costs.redisReadsExpected)
        }
    }

    @Test func keysCostOneReadABatch() async throws {
        try await run { place, chats in
            let costs = try await place.costs {
                for index in 0..<20 {
                    _ = try await chats[0].send(
                        MessageContent(body: "hello"), key: IdempotencyKey("one \(index)", content: []))
                }
            }
            #expect(costs.batches == 20 && costs.mariadb["Com_select"] == 20)
            #expect((60...64).contains(costs.mariadb["Com_insert", default: 0]))
            let many = try await place.costs { try await send(400, to: chats, key: "many") }
            #expect(many.mariadb["Com_select", default: 0] >= many.batches)
            // 128 keys a statement.
            #expect(many.mariadb["Com_select", default: 0] <= many.batches + 400 / 128)
            let again = try await place.costs { try await send(400, to: chats, key: "many") }
            #expect(again.batches == 0 && again.mariadb["Com_insert"] == nil)
            // The answer to a retry is in the key's own row: no read per message, however many are retried.
            #expect(again.mariadb["Com_select", default: 400] < 100)
        }
    }

    @Test func aNewChatCostsOneLookAtTheDatabase() async throws {
        try await run { place, chats in
            let tenant = chats[0].tenant
            let chat = try await tenant.chat("\(tenant.createChat().number.rawValue)")
            let costs = try await place.costs {
                for _ in 0..<10 { _ = try await chat.send(MessageContent(body: "hello")) }
            }
            #expect(costs.batches == 10 && costs.mariadb["Com_select"] == 1)
            let chatCosts = try await place.costs { for _ in 0..<10 { _ = try await tenant.createChat() } }
            #expect(chatCosts.batches == 10 && chatCosts.mariadb["Com_select"] == nil)
            #expect(chatCosts.redisReads <= 20)
        }
    }
}
