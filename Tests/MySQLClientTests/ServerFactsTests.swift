import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(2)))
struct ServerFactsTests {
    @Test func aRealServerAndItsSession() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        let facts = connection.facts
        #expect(facts.server.node.contains("/\(server.port)/"))
        #expect(facts.server.data == facts.server.node)
        #expect(!facts.isReadOnly)
        #expect(facts.maxPacket >= 1 << 20)
        // The session has the settings that were requested when connecting.
        #expect(facts.waitTimeout == 60)
        #expect(facts.isolation == "READ-COMMITTED")
        #expect(facts.sqlMode.contains("STRICT_TRANS_TABLES"))
        #expect(facts.flushAtCommit != nil)
        #expect(try await connection.currentFacts() == facts)
        #expect(try await connection.grants().contains { $0.hasPrefix("GRANT ALL PRIVILEGES ON *.*") })
        await connection.close()
    }

    @Test func theyFollowTheServer() async throws {
        let server = try await MariaDBServer.start(["--max-allowed-packet=1M"])
        let connection = try await MySQLConnection.connect(server.configuration)
        #expect(connection.facts.maxPacket == 1 << 20)
        try await connection.run("SET GLOBAL read_only = 1")
        #expect(try await connection.currentFacts().isReadOnly)
        #expect(!connection.facts.isReadOnly)
        let later = try await MySQLConnection.connect(server.configuration)
        #expect(later.facts.isReadOnly)
        #expect(later.facts.server == connection.facts.server)
        await later.close()
        await connection.close()
    }

    /// As the manuals of other engines and versions have them.
    @Test(arguments: [
        (["read_only": "ON"], true), (["read_only": "1"], true), (["read_only": "READ_ONLY_NO_LOCK"], true),
        (["super_read_only": "ON", "read_only": "OFF"], true), (["innodb_read_only": "ON"], true),
        (["transaction_read_only": "ON"], true), (["read_only": "OFF", "super_read_only": "0"], false), ([:], false),
    ])
    func readOnly(_ variables: [String: String], _ isReadOnly: Bool) {
        #expect(ServerFacts(variables, version: "8.0.36").isReadOnly == isReadOnly)
    }

    @Test func whoseRows() {
        func server(_ variables: [String: String], _ version: String = "8.0.36") -> ServerFacts.Server {
            ServerFacts(variables, version: version).server
        }
        let place = ["hostname": "db1", "port": "3306", "server_id": "1"]
        func also(_ more: [String: String]) -> [String: String] { place.merging(more) { $1 } }
        #expect(server(also(["server_uuid": "abc"])) == ServerFacts.Server(node: "abc"))
        #expect(server(also(["wsrep_on": "OFF"])).data == "db1/3306/1")
        // Nodes of a cluster differ, their rows do not.
        let one = server(also(["wsrep_on": "ON", "wsrep_cluster_name": "c"]))
        let other = server(also(["hostname": "db2", "wsrep_on": "ON", "wsrep_cluster_name": "c"]))
        #expect(one.node != other.node)
        #expect(one.data == other.data)
        #expect(server(also(["group_replication_group_name": ""])).data == "db1/3306/1")
        #expect(server(also(["server_uuid": "abc", "group_replication_group_name": "g"])).data == "group/g")
        #expect(server(place, "8.0.11-TiDB-v8.5.0").data == "TiDB")
    }
}
