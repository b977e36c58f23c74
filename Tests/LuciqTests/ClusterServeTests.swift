import Foundation
import TestSupport
import Testing

/// Properties that only several server processes on real servers can show. One test at a time, because each keeps the
/// machine busy.
@Suite(.serialized, .timeLimit(.minutes(3))) struct ClusterTests {}

extension ClusterTests {
    @Suite(.serialized) struct Serving {
        /// Every create succeeds at once, whichever server is asked, and all agree right after.
        @Test(arguments: [(nodes: 2, chats: 1), (nodes: 2, chats: 50), (nodes: 4, chats: 1), (nodes: 4, chats: 50)])
        func everyCreateSucceeds(_ nodes: Int, _ chats: Int) async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(nodes, mariadb: mariadb, redis: redis.url())
            let load = try await Load(on: cluster, chats: chats, messagesPerWriter: 32)
            try await load.run()
            #expect(load.failures == 0)
            #expect(load.replays == load.total / 8)
            try await load.expectPromisesKept()
            load.expectDense()
            let verification = try await cluster.luciq("verify")
            #expect(verification.code == 0, "\(verification.output)\(verification.errors)")
            #expect(verification.output.contains("messages:     \(load.total)\n"))

            // The copy of the counts that the Rails application reads; nobody waited for it.
            let counts = Dictionary(grouping: load.messages, by: \.owner).mapValues(\.count)
            let ids = try await mariadb.sql("SELECT number, id FROM chats").split(separator: "\n")
            for (number, id) in ids.map({ $0.split(separator: "\t") }).map({ ($0[0], $0[1]) }) {
                let count = counts["\(load.application)/chats/\(number)"].map(String.init) ?? ""
                try await eventually("Redis has the count of chat \(number)") {
                    try await redis.cli("GET", "chat:\(id):messages_count") == count
                }
            }
            for node in nodes == 2 ? cluster.nodes : [] {
                node.process.signal(SIGTERM)
                #expect(await node.process.wait().code == 0)
            }
        }

        /// A Redis that answers with errors is named where operators look; creates go on, and so does readiness.
        @Test func readinessNamesWhatRedisRefuses() async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(1, mariadb: mariadb, redis: redis.url())
            let client = cluster.nodes[0].client
            let chat = try await client.makeChat()
            #expect(try await client.get("/readyz").text == "ok\n")
            func metrics() async throws -> PrometheusText { PrometheusText(try await client.get("/metrics").text) }
            let healthy = try await metrics()
            #expect(healthy.problems == [])
            #expect(healthy["luciq_redis_up", ["client": "store"]] == 1)
            #expect(healthy["luciq_redis_connects_total", ["client": "store"]] == 1)
            #expect(healthy["luciq_redis_commands_in_flight", ["client": "store"]] == 0)
            for pool in ["reads", "writes"] {
                #expect(healthy["luciq_mysql_connections", ["pool": pool]] ?? 0 > 0)
                #expect(healthy["luciq_mysql_connections_in_use", ["pool": pool]] == 0)
                #expect(healthy["luciq_mysql_waiting", ["pool": pool]] == 0)
            }
            _ = try await redis.cli("CONFIG", "SET", "maxmemory", "1")
            #expect(try await client.post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
            let answer = try await client.get("/readyz")
            #expect(answer.status == 200)
            #expect(answer.text == "ok\nRedis refuses writes: OOM; numbers come from the database\n")
            #expect(
                try await metrics()["luciq_redis_refused_total", ["client": "store", "cause": "OOM"]] ?? 0 > 0)
            redis.kill()
            try await eventually("it is away") {
                try await client.get("/readyz").text == "ok\nRedis is away; numbers come from the database\n"
            }
            let before = try await metrics()["luciq_redis_posts_failed_total", ["client": "store"]] ?? 0
            #expect(try await client.post(chat + "/messages", json: #"{"body":"y"}"#).status == 201)
            try await eventually("what could not be announced is counted") {
                try await metrics()["luciq_redis_posts_failed_total", ["client": "store"]] ?? 0 > before
            }
            let away = try await metrics()
            #expect(away["luciq_redis_up", ["client": "store"]] == 0)
            // Each once, however often it is asked.
            let failures = away["luciq_redis_posts_failed_total", ["client": "store"]]
            #expect(try await metrics()["luciq_redis_posts_failed_total", ["client": "store"]] == failures)
            try await redis.restart(empty: true)
            try await eventually("it is connected again") {
                try await metrics()["luciq_redis_connects_total", ["client": "store"]] == 2
            }
        }
    }
}
