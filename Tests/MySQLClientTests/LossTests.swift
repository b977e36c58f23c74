import Foundation
import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct LossTests {
    @Test(arguments: ["SELECT SLEEP(30)", "SELECT seq, SLEEP(0.01) FROM seq_1_to_100000"])
    func killedConnection(sql: String) async throws {
        let server = try await MariaDBServer.shared()
        let victim = try await MySQLConnection.connect(server.configuration)
        let killer = try await MySQLConnection.connect(server.configuration)
        let id = try await victim.perform { try $0.first("SELECT CONNECTION_ID()") { $0.integer(0) } }
        async let outcome = kind {
            try await victim.perform { try $0.query(sql + " -- \(id ?? 0)") { _ in true } }
        }
        try await killer.waitForStatement("-- \(id ?? 0)")
        try await killer.run("KILL CONNECTION \(id ?? 0)")
        #expect(await outcome == .connectionLost)
        #expect(await !victim.isUsable)
        #expect(await kind { try await victim.ping() } == .connectionLost)
        #expect(await kind { try await victim.perform { try $0.transaction { _ in } } } == .connectionLost)
    }

    @Test func killedBetweenStatements() async throws {
        let server = try await MariaDBServer.shared()
        let victim = try await MySQLConnection.connect(server.configuration)
        let killer = try await MySQLConnection.connect(server.configuration)
        let id = try await victim.perform { try $0.first("SELECT CONNECTION_ID()") { $0.integer(0) } }
        try await killer.run("KILL CONNECTION \(id ?? 0)")
        #expect(await kind { try await victim.execute("DO ?", [1]) } == .connectionLost)
        #expect(await !victim.isUsable)
    }

    @Test func killedServer() async throws {
        let server = try await MariaDBServer.start()
        let connection = try await MySQLConnection.connect(server.configuration)
        let watcher = try await MySQLConnection.connect(server.configuration)
        async let outcome = kind {
            try await connection.perform { try $0.transaction { try $0.run("SELECT SLEEP(30)") } }
        }
        try await watcher.waitForStatement("SLEEP(30)")
        server.kill()
        #expect(await outcome == .connectionLost)
        #expect(await !connection.isUsable)
        #expect(await kind { _ = try await MySQLConnection.connect(server.configuration) } == .cannotConnect)
    }

    @Test func serverThatShutsDown() async throws {
        let server = try await MariaDBServer.start()
        let connection = try await MySQLConnection.connect(server.configuration)
        let watcher = try await MySQLConnection.connect(server.configuration)
        async let outcome = kind { try await connection.run("SELECT SLEEP(30)") }
        try await watcher.waitForStatement("SLEEP(30)")
        await server.stop()
        let kind = await outcome
        #expect(kind == .connectionLost || kind == .shuttingDown)
        #expect(await !connection.isUsable)
    }

    @Test func frozenServer() async throws {
        let server = try await MariaDBServer.start()
        var configuration = server.configuration
        configuration.readTimeout = .seconds(1)
        configuration.connectTimeout = .seconds(1)
        let connection = try await MySQLConnection.connect(configuration)
        try await connection.execute("DO ?", [1])
        server.freeze()
        // Both end at their time-outs; without them the suite's limit would end them.
        #expect(await kind { try await connection.execute("DO ?", [1]) } == .connectionLost)
        #expect(await kind { _ = try await MySQLConnection.connect(configuration) } == .cannotConnect)
        server.thaw()
        #expect(await kind { try await connection.ping() } == .connectionLost)
        try await MySQLConnection.connect(configuration).ping()
    }

    @Test func tooManyConnections() async throws {
        let server = try await MariaDBServer.start(["--max-connections=10"])
        var connections: [MySQLConnection] = []
        let refusal = await kind {
            for _ in 0..<12 { connections.append(try await MySQLConnection.connect(server.configuration)) }
        }
        #expect(refusal == .tooManyConnections)
        #expect(connections.count >= 10)
    }

    @Test func packetThatIsTooLarge() async throws {
        let server = try await MariaDBServer.start(["--max-allowed-packet=1M"])
        let connection = try await MySQLConnection.connect(server.configuration)
        let text = MySQLValue.text(String(repeating: "x", count: 3 << 20))
        #expect(await kind { try await connection.execute("DO ?", [text]) } != nil)
        #expect(await !connection.isUsable)
        #expect(server.isRunning)
    }
}
