import RedisClient
import ServiceLifecycle
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisFailureTests {
    private let clock = ContinuousClock()

    @Test func aCrashLeavesWhatWasSentInDoubtAndRefusesTheRest() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url() + "?command-timeout=30") { client async throws in
            // The server delays this reply, and so all that follow it.
            async let blocked = client.send([RedisCommand("BLPOP", "none", "0"), RedisCommand("SET", "a", "b")])
            try await eventually("it blocks") { try await server.cli("INFO", "clients").contains("blocked_clients:1") }
            server.kill()
            for result in await blocked { #expect(result.error?.isOutcomeUnknown == true) }
            let error = await #expect(throws: RedisError.self) { try await client.call("PING") }
            #expect(error?.isUnavailable == true)
            #expect(!client.isConnected)
            client.post([RedisCommand("PING"), RedisCommand("PING")])
            #expect(client.postFailures == 2)
            try await server.restart(empty: true)
            try await client.waitUntilConnected(timeout: .seconds(20))
            #expect(try await client.call("PING") == .status("PONG"))
        }
    }

    @Test func aFrozenServerCostsOneTimeout() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url() + "?command-timeout=0.5&connect-timeout=0.3") { client async throws in
            server.freeze()
            let first = await clock.measure {
                for result in await client.send([RedisCommand("PING"), RedisCommand("PING")]) {
                    #expect(result.error == .outcomeUnknown(reason: "no reply in time"))
                }
            }
            #expect(first >= .milliseconds(500) && first < .seconds(2))
            let others = await clock.measure {
                for _ in 0..<100 {
                    let result = await client.send([RedisCommand("PING")])
                    #expect(result[0].error?.isUnavailable == true)
                }
            }
            #expect(others < .milliseconds(500))
            // TCP connects to a frozen server; that is not enough.
            await #expect(throws: RedisError.self) { try await client.waitUntilConnected(timeout: .milliseconds(700)) }
            server.thaw()
            try await client.waitUntilConnected(timeout: .seconds(20))
            #expect(try await client.call("PING") == .status("PONG"))
        }
    }

    @Test func reconnectsWhenTheServerCutsIt() async throws {
        let server = try await RedisServer.start()
        let reconnects = Mailbox<Void>()
        try await withClient(server.url()) { client async throws in
            client.onReconnect { reconnects.put(()) }
            for _ in 0..<3 {
                _ = try await server.cli("CLIENT", "KILL", "TYPE", "normal")
                #expect(await reconnects.next() != nil)
                #expect(try await client.call("PING") == .status("PONG"))
            }
        }
    }

    @Test func leavesAServerThatHasBecomeAReplica() async throws {
        let server = try await RedisServer.start()
        let reconnects = Mailbox<Void>()
        try await withClient(server.url()) { client async throws in
            client.onReconnect { reconnects.put(()) }
            _ = try await server.cli("REPLICAOF", "127.0.0.1", "1")
            let results = await client.send([RedisCommand("SET", "a", "b"), RedisCommand("PING")])
            #expect(results[0].error?.prefix == "READONLY")
            #expect(results[1] == .success(.status("PONG")))
            _ = try await server.cli("REPLICAOF", "NO", "ONE")
            #expect(await reconnects.next() != nil)
            #expect(try await client.call("SET", "a", "b") == .status("OK"))
        }
    }

    @Test func boundsWhatIsInFlight() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url() + "?command-timeout=30", maxInFlight: 10) { client async throws in
            async let blocked = client.call("BLPOP", "list", "0")
            try await eventually("it blocks") { try await server.cli("INFO", "clients").contains("blocked_clients:1") }
            client.post((0..<9).map { _ in RedisCommand("PING") })
            let error = await #expect(throws: RedisError.self) { try await client.call("PING") }
            #expect(error == .unavailable(reason: "too many commands are in flight"))
            client.post([RedisCommand("PING")])
            #expect(client.postFailures == 1)
            _ = try await server.cli("RPUSH", "list", "x")
            #expect(try await blocked.array?.count == 2)
            #expect(await client.send((0..<10).map { _ in RedisCommand("PING") }).allSatisfy { $0.error == nil })
            let batch = await client.send((0..<11).map { _ in RedisCommand("PING") })
            #expect(batch.count == 11 && batch.allSatisfy { $0.error?.isUnavailable == true })
            #expect(client.postFailures == 1)
        }
    }

    @Test func boundsAReply() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url(), maxReplyBytes: 1 << 20) { client async throws in
            _ = try await client.call("SET", "big", String(repeating: "x", count: 4 << 20))
            let results = await client.send([
                RedisCommand("PING"), RedisCommand("GET", "big"), RedisCommand("PING"),
            ])
            #expect(results[0] == .success(.status("PONG")))
            #expect(results[1] == .failure(.tooLarge))
            #expect(results[2].error?.isOutcomeUnknown == true)
            try await client.waitUntilConnected(timeout: .seconds(20))
            #expect(try await client.call("STRLEN", "big").integer == 4 << 20)
        }
    }

    @Test func saysThatTheServerIsFull() async throws {
        let server = try await RedisServer.start(["--maxclients", "1"])
        let holder = try RawConnection(port: server.port)
        await holder.send("PING\r\n")
        _ = try await holder.receive()
        #expect(try await connectFailure(server.url()).contains("max number of clients reached"))
        withExtendedLifetime(holder) {}
    }

    @Test func saysThatItIsNotARedis() async throws {
        let server = try await OneAnswerServer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        let port = server.port
        let failure = try await connectFailure("redis://127.0.0.1:\(port)")
        #expect(failure.contains("127.0.0.1:\(port): it is not a Redis"), "\(failure)")
        withExtendedLifetime(server) {}
    }

    @Test func saysWhereNobodyListens() async throws {
        let port = try FreePort.any()
        #expect(
            try await connectFailure("redis://127.0.0.1:\(port)")
                == "Redis is unavailable: 127.0.0.1:\(port): connection refused")
        let failure = try await connectFailure("redis://no-such-host.invalid")
        #expect(failure.contains("no-such-host.invalid:6379: the host name cannot be resolved"), "\(failure)")
        let early = RedisClient(try RedisConfiguration(url: "redis://127.0.0.1:\(port)"), logger: quiet)
        let notYet = RedisError.unavailable(reason: "not connected yet to redis://127.0.0.1:\(port)/0")
        await #expect(throws: notYet) { try await early.send(RedisCommand("PING")) }
        try await withClient("redis://127.0.0.1:\(port)", isConnected: false) { client in
            let refused = RedisError.unavailable(reason: "127.0.0.1:\(port): connection refused")
            await #expect(throws: refused) { try await client.waitUntilConnected(timeout: .seconds(2)) }
        }
    }

    @Test func aShutdownSendsWhatWasPosted() async throws {
        let server = try await RedisServer.start()
        let client = RedisClient(try RedisConfiguration(url: server.url()), logger: quiet)
        let group = ServiceGroup(services: [client], logger: quiet)
        let running = Task { try await group.run() }
        try await client.waitUntilConnected(timeout: .seconds(20))
        for _ in 0..<100 { client.post((0..<100).map { _ in RedisCommand("INCR", "posted") }) }
        await group.triggerGracefulShutdown()
        try await running.value
        #expect(try await server.cli("GET", "posted") == "10000")
        #expect(client.postFailures == 0)
        await #expect(throws: RedisError.unavailable(reason: "the client has shut down")) {
            try await client.call("PING")
        }
    }
}
