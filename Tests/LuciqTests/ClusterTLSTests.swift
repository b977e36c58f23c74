import Foundation
import TestSupport
import Testing

/// Certificates signed by an authority of one's own, for the database and for Redis.
@Suite(.timeLimit(.minutes(1))) struct ClusterTLSTests {
    private struct Servers {
        let tls: TLSFiles
        let mariadb: MariaDBServer
        let redis: RedisServer

        static func start() async throws -> Servers {
            let tls = try await TLSFiles.make()
            return Servers(
                tls: tls,
                mariadb: try await MariaDBServer.start(tls.mariadbOptions + ["--require-secure-transport=ON"]),
                redis: try await RedisServer.start(tls: tls))
        }

        func mysqlOptions(ca: String) -> String { "?ssl-mode=verify-identity&ssl-ca=\(ca)" }
        func redisURL(ca: String) -> String { redis.url() + "?ca=\(ca)" }
    }

    @Test func theRightAuthority() async throws {
        let servers = try await Servers.start()
        let cluster = try await Cluster.start(
            2, mariadb: servers.mariadb, mysqlOptions: servers.mysqlOptions(ca: servers.tls.ca),
            redis: servers.redisURL(ca: servers.tls.ca))
        let clients = cluster.nodes.map(\.client)
        let messages = try await clients[0].makeChat() + "/messages"
        let key = ["Idempotency-Key": "k"]
        let first = try await clients[0].post(messages, json: #"{"body":"x"}"#, headers: key)
        #expect(first.status == 201)
        let again = try await clients[1].post(messages, json: #"{"body":"x"}"#, headers: key)
        #expect(again.text == first.text)
        #expect(again["Idempotent-Replayed"] == "true")
        // The first numbers came from the database if Redis was not connected yet.
        try await eventually("Redis gives numbers") {
            #expect(try await clients[1].post(messages, json: #"{"body":"x"}"#).status == 201)
            return try await servers.redis.cli("EXISTS", "chat:1:message_number") == "1"
        }
        let verification = try await cluster.luciq("verify")
        #expect(verification.code == 0, "\(verification.output)\(verification.errors)")
    }

    @Test func theWrongAuthority() async throws {
        let servers = try await Servers.start()
        let (right, wrong) = (servers.tls.ca, servers.tls.otherCA)
        func environment(mysql: String, redis: String) -> [String: String] {
            [
                "DATABASE_URL": servers.mariadb.url() + servers.mysqlOptions(ca: mysql),
                "REDIS_URL": servers.redisURL(ca: redis),
            ]
        }
        _ = try await Cluster.start(
            0, mariadb: servers.mariadb, mysqlOptions: servers.mysqlOptions(ca: right),
            redis: servers.redisURL(ca: right))
        for (mysql, redis, server) in [(wrong, right, "database"), (right, wrong, "Redis")] {
            try await Refusal.expect(environment(mysql: mysql, redis: redis), says: server)
        }
    }
}
