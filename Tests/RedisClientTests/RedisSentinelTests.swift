import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct RedisSentinelTests {
    @Test func followsAFailover() async throws {
        let set = try await RedisSentinelSet.start()
        // The first sentinel of the list is not there.
        let absent = "127.0.0.1:\(try FreePort.any())"
        let url = set.url().replacing("sentinel://", with: "sentinel://\(absent),")
        let reconnects = Mailbox<Void>()
        try await withClient(url) { client async throws in
            client.onReconnect { reconnects.put(()) }
            let (first, second) = (Int64(set.primary.port), Int64(set.replica.port))
            #expect(try await client.call("CONFIG", "GET", "port").array?[1].integer == first)
            // The replica has it, before the primary goes.
            let written = await client.send([RedisCommand("SET", "a", "1"), RedisCommand("WAIT", "1", "900")])
            #expect(written == [.success(.status("OK")), .success(.integer(1))])
            set.killPrimary()
            #expect(await reconnects.next(within: .seconds(40)) != nil)
            #expect(try await client.call("CONFIG", "GET", "port").array?[1].integer == second)
            #expect(try await client.call("INCR", "a") == .integer(2))
        }
        let unknown = set.url().replacing("/luciq/", with: "/unknown/")
        #expect(try await connectFailure(unknown).contains("knows no primary of that name"))
    }

    @Test func doesNotTakeAReplicaForThePrimary() async throws {
        let server = try await RedisServer.start(["--replicaof", "127.0.0.1 1"])
        let sentinel = try await OneAnswerServer("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n\(server.port)\r\n")
        let failure = try await connectFailure("redis+sentinel://127.0.0.1:\(sentinel.port)/main")
        #expect(failure.contains("127.0.0.1:\(server.port): it is a replica, not the primary"), "\(failure)")
        withExtendedLifetime(sentinel) {}
    }
}
