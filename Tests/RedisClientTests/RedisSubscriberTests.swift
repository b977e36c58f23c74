import RedisClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisSubscriberTests {
    private let messages = Mailbox<String>()
    private let gaps = Mailbox<Void>()

    /// Runs a subscriber for as long as `body` does.
    private func withSubscriber(
        _ url: String, maxChannels: Int = 100, _ body: (RedisSubscriber) async throws -> Void
    ) async throws {
        let subscriber = RedisSubscriber(
            try RedisConfiguration(url: url), maxChannels: maxChannels, logger: quiet,
            onMessage: { [messages] channel, payload in
                messages.put("\(channel): \(String(decoding: payload, as: UTF8.self))")
            },
            onGap: { [gaps] in gaps.put(()) })
        let running = Task { try await subscriber.run() }
        defer { running.cancel() }
        try await eventually("it connects") { subscriber.isConnected }
        try await body(subscriber)
    }

    @Test func hearsWhatItSubscribedTo() async throws {
        let server = try await RedisServer.start()
        try await withSubscriber(server.url()) { subscriber in
            try await subscriber.subscribe("a")
            try await subscriber.subscribe("b")
            try await subscriber.subscribe("b")
            #expect(try await server.cli("PUBLISH", "a", "1") == "1")
            #expect(try await server.cli("PUBLISH", "b", "2") == "1")
            #expect(await messages.next() == "a: 1")
            #expect(await messages.next() == "b: 2")
            await subscriber.unsubscribe("b")
            await subscriber.unsubscribe("never")
            #expect(try await server.cli("PUBLISH", "b", "3") == "0")
            #expect(try await server.cli("PUBLISH", "a", "4") == "1")
            #expect(await messages.next() == "a: 4")
        }
        try await eventually("it leaves") { try await server.cli("PUBSUB", "CHANNELS") == "" }
    }

    @Test func subscribesAgainAndTellsOfTheGap() async throws {
        let server = try await RedisServer.start()
        try await withSubscriber(server.url(), maxChannels: 5000) { subscriber in
            try await withThrowingTaskGroup { group in
                for index in 0..<2500 { group.addTask { try await subscriber.subscribe("c\(index)") } }
                try await group.waitForAll()
            }
            await subscriber.unsubscribe("c0")
            server.kill()
            try await eventually("the loss is noticed") { !subscriber.isConnected }
            let error = await #expect(throws: RedisError.self) { try await subscriber.subscribe("new") }
            #expect(error?.isUnavailable == true)
            try await server.restart(empty: true)
            #expect(await gaps.next() != nil)
            #expect(try await server.cli("PUBLISH", "c0", "x") == "0")
            #expect(try await server.cli("PUBLISH", "new", "x") == "0")
            #expect(try await server.cli("PUBLISH", "c1", "x") == "1")
            #expect(try await server.cli("PUBLISH", "c2499", "y") == "1")
            #expect(await messages.next() == "c1: x")
            #expect(await messages.next() == "c2499: y")
        }
    }

    /// Nobody sends it anything, so only its own PING can tell.
    @Test func noticesAFrozenServer() async throws {
        let server = try await RedisServer.start()
        try await withSubscriber(server.url() + "?command-timeout=0.3&connect-timeout=0.3") { subscriber in
            try await subscriber.subscribe("a")
            server.freeze()
            try await eventually("the silence is noticed", within: 5) { !subscriber.isConnected }
            server.thaw()
            #expect(await gaps.next() != nil)
            #expect(try await server.cli("PUBLISH", "a", "1") == "1")
            #expect(await messages.next() == "a: 1")
        }
    }

    @Test func boundsItsChannels() async throws {
        let server = try await RedisServer.start()
        try await withSubscriber(server.url(), maxChannels: 2) { subscriber in
            try await subscriber.subscribe("a")
            try await subscriber.subscribe("b")
            let error = await #expect(throws: RedisError.self) { try await subscriber.subscribe("c") }
            #expect(error?.isUnavailable == true)
            try await subscriber.subscribe("a")
            await subscriber.unsubscribe("a")
            try await subscriber.subscribe("c")
        }
    }

    @Test func aRefusedChannelIsNotKept() async throws {
        let server = try await RedisServer.start([
            "--user", "luciq", "on", ">wort", "~*", "resetchannels", "&mine:*", "+@all",
        ])
        try await withSubscriber("redis://luciq:wort@127.0.0.1:\(server.port)", maxChannels: 1) { subscriber in
            let error = await #expect(throws: RedisError.self) { try await subscriber.subscribe("theirs") }
            #expect(error?.prefix == "NOPERM")
            try await subscriber.subscribe("mine:1")
        }
    }
}
