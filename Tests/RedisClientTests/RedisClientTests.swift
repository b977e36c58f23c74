import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisClientTests {
    @Test func carriesEveryKindOfValue() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url()) { client async throws in
            let replies = await client.send([
                RedisCommand("SET", "key", "välue"), RedisCommand("GET", "key"), RedisCommand("GET", "none"),
                RedisCommand("INCRBY", "number", "-3"), RedisCommand("GET", "number"),
                RedisCommand("LPUSH", "key", "x"),
                RedisCommand("RPUSH", "list", "a", "b"), RedisCommand("LRANGE", "list", "0", "-1"),
                RedisCommand("NOSUCH"), RedisCommand("PING"),
            ])
            #expect(replies.count == 10)
            #expect(replies[0] == .success(.status("OK")))
            #expect(try replies[1].get().string == "välue")
            #expect(replies[2] == .success(.null))
            #expect(replies[3] == .success(.integer(-3)))
            #expect(try replies[4].get().integer == -3)
            #expect(replies[5].error?.prefix == "WRONGTYPE")
            #expect(replies[7] == .success(.array([.text(Array("a".utf8)), .text(Array("b".utf8))])))
            #expect(replies[8].error?.prefix == "ERR")
            #expect(replies[9] == .success(.status("PONG")))
            #expect(await client.send([]).isEmpty)
            await #expect(throws: RedisError.self) { try await client.call("NOSUCH") }
            #expect(try await server.cli("CLIENT", "LIST").contains("name=luciq"))
        }
    }

    @Test func keepsBytesAsTheyAre() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url()) { client async throws in
            var big: [UInt8] = []
            for index in 0..<(1 << 20) { big.append(UInt8(truncatingIfNeeded: index &* 31 >> 3)) }
            for value in [[], [0], Array("\r\n$-1\r\n".utf8), Array(0...255), big] as [[UInt8]] {
                var set = RedisCommand("SET", "key\0\r\n")
                set.append(value)
                #expect(try await client.send(set) == .status("OK"))
                #expect(try await client.call("GET", "key\0\r\n") == .text(value))
            }
        }
    }

    /// 64 tasks on one connection: each gets its own replies, in its own order.
    @Test func keepsPipelinedRepliesApart() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url()) { client async throws in
            try await withThrowingTaskGroup { group in
                for task in 0..<64 {
                    group.addTask { () async throws in
                        for round in 0..<50 {
                            let replies = await client.send(
                                (0..<5).map { RedisCommand("ECHO", "\(task) \(round) \($0)") })
                            #expect(try replies.map { try $0.get().string } == (0..<5).map { "\(task) \(round) \($0)" })
                            #expect(try await client.call("INCR", "n\(task)").integer == Int64(round + 1))
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func runsScriptsByTheirSHA1() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url()) { client async throws in
            let script = RedisScript("return {KEYS[1], ARGV[1], tonumber(ARGV[2]) + 1}")
            for _ in 0..<2 {
                let value = try await client.eval(script, keys: ["k"], arguments: ["a", "41"])
                #expect(value.array?.map(\.string) == ["k", "a", nil])
                #expect(value.array?.last?.integer == 42)
            }
            #expect(try await server.cli("INFO", "commandstats").contains("cmdstat_eval:calls=1,"))
            await #expect(throws: RedisError.self) {
                try await client.eval(RedisScript("return redis.call('NOSUCH')"), keys: [], arguments: [])
            }
        }
    }

    @Test func usesItsDatabase() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url(database: 5)) { client async throws in
            _ = try await client.call("SET", "only", "here")
            #expect(try await server.cli("EXISTS", "only") == "0")
            #expect(try await server.cli("INFO", "keyspace").contains("db5:keys=1"))
        }
        #expect(try await connectFailure(server.url(database: 600)).contains("DB index is out of range"))
    }

    @Test func authenticatesByPasswordAndByUser() async throws {
        let server = try await RedisServer.start([
            "--requirepass", "geheim/1", "--user", "luciq", "on", ">wort", "~*", "&*", "+@all", "-client", "-ping",
        ])
        for credentials in [":geheim%2F1", "default:geheim%2F1", "luciq:wort"] {
            try await withClient("redis://\(credentials)@127.0.0.1:\(server.port)") { client async throws in
                #expect(try await client.call("SET", "a", "b") == .status("OK"))
            }
        }
        for credentials in [":falsch", "luciq:falsch", "nobody:falsch"] {
            let failure = try await connectFailure("redis://\(credentials)@127.0.0.1:\(server.port)")
            #expect(failure.hasPrefix("Redis cannot be used: 127.0.0.1:\(server.port): the password was refused: "))
            #expect(failure.contains("WRONGPASS"))
            #expect(!failure.contains("falsch"))
        }
        #expect(try await connectFailure(server.url()).contains("NOAUTH"))
    }

    @Test func blocksOnAConnectionOfItsOwn() async throws {
        let server = try await RedisServer.start()
        // Shorter than the command blocks.
        try await withClient(server.url() + "?command-timeout=0.5") { client async throws in
            async let popped = client.withDedicatedConnection { connection in
                try await connection.send(RedisCommand("BLPOP", "list", "30"), timeout: .seconds(40))
            }
            try await eventually("it blocks") { try await server.cli("INFO", "clients").contains("blocked_clients:1") }
            #expect(try await client.call("RPUSH", "list", "x").integer == 1)
            #expect(try await popped.array?.map(\.string) == ["list", "x"])
            // Two handshakes and no more: both connections are gone in the end.
            try await eventually("it is closed") { try await !server.cli("CLIENT", "LIST").contains("cmd=blpop") }
        }
    }

    @Test func aBlockingCommandHasADeadlineAndCanBeCancelled() async throws {
        let server = try await RedisServer.start()
        try await withClient(server.url()) { client async throws in
            let command = RedisCommand("BLPOP", "list", "0")
            try await client.withDedicatedConnection { connection in
                let error = await #expect(throws: RedisError.self) {
                    try await connection.send(command, timeout: .milliseconds(100))
                }
                #expect(error?.isOutcomeUnknown == true)
            }
            let task = Task {
                try await client.withDedicatedConnection { try await $0.send(command, timeout: .seconds(50)) }
            }
            try await eventually("it blocks") { try await server.cli("INFO", "clients").contains("blocked_clients:1") }
            task.cancel()
            await #expect(throws: RedisError.self) { try await task.value }
            try await eventually("it is let go") {
                try await server.cli("INFO", "clients").contains("blocked_clients:0")
            }
            #expect(client.isConnected)
        }
    }
}
