import TestSupport
import Testing

@Suite("A Redis server for tests", .timeLimit(.minutes(3)))
struct RedisServerTests {
    @Test("killed and restarted on the same port it is empty")
    func kill() async throws {
        let server = try await RedisServer.start()
        #expect(try await server.cli("SET", "key", "value") == "OK")
        server.kill()
        #expect(!server.isRunning)
        try await server.restart(empty: false)
        #expect(try await server.cli("DBSIZE") == "0")
        #expect(server.url(database: 7) == "redis://127.0.0.1:\(server.port)/7")
    }

    @Test("restarted in order it has its data, or none when it is to be empty")
    func restart() async throws {
        let server = try await RedisServer.start()
        _ = try await server.cli("-n", "500", "SET", "key", "value")
        try await server.restart(empty: false)
        #expect(try await server.cli("-n", "500", "GET", "key") == "value")
        try await server.restart(empty: true)
        #expect(try await server.cli("-n", "500", "DBSIZE") == "0")
    }

    @Test("what it appends to its log survives a kill")
    func appendOnly() async throws {
        let server = try await RedisServer.start(["--appendonly", "yes", "--appendfsync", "always"])
        _ = try await server.cli("SET", "key", "value")
        server.kill()
        try await server.restart(empty: false)
        #expect(try await server.cli("GET", "key") == "value")
        try await server.restart(empty: true)
        #expect(try await server.cli("DBSIZE") == "0")
    }

    @Test("frozen it answers nothing; thawed it answers")
    func freeze() async throws {
        let server = try await RedisServer.start()
        let connection = try RawConnection(port: server.port, patience: 1)
        server.freeze()
        await connection.send("PING\r\n")
        await #expect(throws: RawConnection.Failure.self) { try await connection.receive() }
        server.thaw()
        #expect(try await connection.receive() == Array("+PONG\r\n".utf8))
        // A stop does not wait for someone to thaw it.
        server.freeze()
        await server.stop()
        #expect(!server.isRunning)
    }

    @Test("an error reply is an error")
    func errors() async throws {
        let server = try await RedisServer.start()
        await #expect(throws: ServerFailure.self) { try await server.cli("NONSENSE") }
    }

    @Test("TLS, by a certificate for 127.0.0.1")
    func tls() async throws {
        let files = try await TLSFiles.make()
        let server = try await RedisServer.start(tls: files)
        #expect(server.url() == "rediss://127.0.0.1:\(server.port)/0")
        #expect(try await server.cli("PING") == "PONG")
        await #expect(throws: ServerFailure.self) {
            try await runProgram([
                "redis-cli", "-e", "-p", "\(server.port)", "--tls", "--cacert", files.otherCA, "PING",
            ])
        }
        try await server.restart(empty: false)
        #expect(try await server.cli("PING") == "PONG")
    }

    @Test("sentinels make the replica the primary, with what it was told")
    func sentinels() async throws {
        let set = try await RedisSentinelSet.start()
        _ = try await set.primary.cli("SET", "key", "value")
        #expect(try await set.primary.cli("WAIT", "1", "10000") == "1")
        set.killPrimary()
        try await set.awaitFailover()
        // Sentinels hang up on its clients when they make it the primary, each once.
        try await eventually("it answers") { (try? await set.replica.cli("GET", "key")) == "value" }
        try await eventually("it takes writes") { (try? await set.replica.cli("SET", "key", "new")) == "OK" }
        let ports = set.sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        #expect(set.url() == "redis+sentinel://\(ports)/luciq/0")
    }
}
