import ChatCore
import Metrics
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

/// The readers of one process get what another stores.
@Suite(.timeLimit(.minutes(3))) struct BusTests {
    /// The revoked principal of a payload; nil if it is something else.
    private static func revoked(_ payload: [UInt8]) -> Principal? {
        if case .revoked(let principal, _) = BusPayload.accessEvent(payload) { principal } else { nil }
    }

    @Test func changesOfApplicationsHaveAPayload() {
        let payload = BusPayload.encode(changed: Tenant.ID(42))
        guard case .tenantChanged(Tenant.ID(42)) = BusPayload.accessEvent(payload) else {
            Issue.record("\(String(decoding: payload, as: UTF8.self))")
            return
        }
        #expect(Self.revoked(payload) == nil)
    }

    @Test(arguments: [
        "", "hi", "\"quoted\" \\ and / \u{0}", "a\tb\nc\rd\u{8}\u{C}\u{1F}\u{7F}", "é 日本 🤷🏽‍♀️ \u{2028}", "</script>",
        String(repeating: "\u{1}", count: 65_535),
    ])
    func aMessageSurvivesTheBus(_ body: String) throws {
        let messages = [1, 2_147_483_647].map {
            Message(number: Message.Number($0), body: body, createdAt: TestCluster.time)
        }
        #expect(try BusPayload.decode(BusPayload.encode(messages)) == messages)
        #expect(try BusPayload.decode(BusPayload.encode([])) == [])
    }

    @Test func aReplySurvivesTheBus() throws {
        let content = MessageContent(
            body: "hi", thread: Message.Number(1), isInMain: true, mentions: try Mentions(naming: ["u \"1\"", "é"]))
        var message = Message(number: Message.Number(3), content: content, createdAt: TestCluster.time)
        message.root = ThreadSummary(root: Message.Number(1), replyCount: 2, lastReply: Message.Number(3))
        let payload = BusPayload.encode([message])
        #expect(try BusPayload.decode(payload) == [message])
        #expect(try BusPayload.decode(payload)[0].content.mentions?.users.map(\.text) == ["u \"1\"", "é"])
        // A newer server may tell more, and one without all of it tells nothing.
        let text = String(decoding: payload, as: UTF8.self)
        let newer = text.replacing("\"reply_count\"", with: "\"new\":[{}],\"reply_count\"")
        #expect(try BusPayload.decode(Array(newer.utf8)) == [message])
        let without = text.replacing("\"last_reply\":3", with: "\"last_reply\":null")
        #expect(throws: (any Error).self) { try BusPayload.decode(Array(without.utf8)) }
        message.root = nil
        let unknown = text.replacing("\"last_reply\"", with: "\"newest\"")
        #expect(try BusPayload.decode(Array(unknown.utf8)) == [message])
    }

    @Test func aRevocationOfAnotherVersionIsNone() {
        let principal = Principal.pathToken(.random())
        let payload = BusPayload.encode(revoked: principal)
        #expect(Self.revoked(payload) == principal)
        let text = String(decoding: payload, as: UTF8.self)
        #expect(Self.revoked(Array(text.replacing("}", with: ",\"new\":1}").utf8)) == principal)
        for (old, new) in [
            ("\"version\":1", "\"version\":2"), ("revoked", "renamed"), ("path_token", "user"), ("}", ""),
        ] {
            #expect(Self.revoked(Array(text.replacing(old, with: new).utf8)) == nil)
        }
    }

    @Test func aUserSurvivesTheBus() throws {
        let principal = Principal.user(Tenant.ID(7), try #require(User.ID("a \"b\" é")))
        for isBlocked in [true, false] {
            let payload = BusPayload.encode(revoked: principal, isBlocked: isBlocked)
            guard case .revoked(principal, isBlocked: isBlocked) = BusPayload.accessEvent(payload) else {
                Issue.record("\(String(decoding: payload, as: UTF8.self))")
                return
            }
        }
    }

    @Test func aRevocationReachesEveryProcess() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), redis.url()]) { nodes, test in
            let services = nodes.map {
                ChatService(backend: $0.backend, logger: TestCluster.logger, metrics: NOOPMetricsHandler.instance)
            }
            let channel = BusChannels(deployment: try await test.deployment().id).access
            try await eventually("both hear") { try await redis.cli("PUBSUB", "NUMSUB", channel).hasSuffix("2") }
            var tokens: [Tenant.Token] = []
            var openings: [Opening] = []
            let ended = Mutex<[Int]>([])
            for index in 0..<2 {
                tokens.append(try await services[0].createTenant(name: "a").token)
                let access = try await services[1].access(Credentials(application: tokens[index].text[...]))
                openings.append(try await access.open())
                openings[index].whenRevoked { ended.withLock { $0.append(index) } }
            }
            // A Redis user cannot revoke anyone.
            let forged = String(decoding: BusPayload.encode(revoked: .pathToken(tokens[1])), as: UTF8.self)
            #expect(try await redis.cli("PUBLISH", channel, forged) == "2")
            services[0].revoke(.pathToken(tokens[0]))
            try await eventually("it has ended") { !ended.withLock(\.isEmpty) }
            #expect(ended.withLock(\.self) == [0])
            withExtendedLifetime(openings) {}
        }
    }

    @Test(arguments: [
        "", "x", "{}", "[", "[1]", "[{}]", "[{\"number\":1}]", "[{\"number\":1.5,\"created_at\":1,\"body\":\"\"}]",
        "[{\"number\":0,\"created_at\":1,\"body\":\"\"}]",
        "[{\"number\":1,\"created_at\":-9000000000000000000,\"body\":\"\"}]",
    ])
    func whatIsNoMessageIsRefused(_ payload: String) {
        #expect(throws: (any Error).self) { try BusPayload.decode(Array(payload.utf8)) }
    }

    @Test func channelsCarryTheDeploymentsID() {
        let channels = BusChannels(deployment: "7")
        #expect(channels.name(of: Chat.ID(42)) == "luciq:7:chat:42")
        #expect(channels.chat(of: "luciq:7:chat:42") == Chat.ID(42))
        for other in ["luciq:8:chat:42", "luciq:7:chat:", "luciq:7:chat:x", "chat:42"] {
            #expect(channels.chat(of: other) == nil)
        }
    }

    @Test func otherProcessesHearAtOnce() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), redis.url()]) { nodes, test in
            try await nodes[1].waitUntilHearing()
            let reader = try await nodes[1].hub.subscribe(to: test.chat, after: nil)
            let id = try await test.deployment().id
            let channel = "luciq:\(id):chat:\(test.chat.rawValue)"
            #expect(try await redis.chatChannels() == channel)
            for number in 1...20 as ClosedRange<Int64> {
                try await nodes[0].send("m\(number)", to: test.chat, test)
                let messages = try await reader.next().messages
                #expect(messages.numbers == [number] && messages[0].body == "m\(number)")
                // As the store has it, to the microsecond.
                #expect(try await test.store.message(messages[0].number, in: test.chat) == messages[0])
            }
            #expect(try await redis.chatChannels() == channel)
            reader.cancel()
        }
    }

    /// One command for each chat and batch, with or without readers.
    @Test func aBatchIsToldOfInOneCommandAChat() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), redis.url()]) { nodes, test in
            try await nodes[1].waitUntilHearing()
            let reader = try await nodes[1].hub.subscribe(to: test.chat, after: nil)
            try await test.send(100)
            #expect(try await reader.next().count == 100)
            try await test.send(3, key: "k")
            try await test.send(3, key: "k")
            try await test.send(1)
            #expect(try await reader.take(4).numbers == [101, 102, 103, 104])
            #expect(try await redis.cli("INFO", "commandstats").contains("cmdstat_publish:calls=3,"))
        }
    }

    @Test(arguments: [1, 2])
    func deploymentsOnOneRedisDoNotHearEachOther(database: Int) async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(database: 1)]) { ours, test in
            try await StreamNode.run(redis: [redis.url(database: database)]) { theirs, other in
                try await theirs[0].waitUntilHearing()
                #expect(test.chat == other.chat)
                let reader = try await theirs[0].hub.subscribe(to: other.chat, after: nil)
                try await ours[0].send("ours", to: test.chat, test)
                try await theirs[0].send("theirs", to: other.chat, other)
                #expect(try await reader.next().messages.map(\.body) == ["theirs"])
            }
        }
    }

    @Test func aReaderThatLeavesIsForgotten() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url()]) { nodes, test in
            try await nodes[0].waitUntilHearing()
            var readers: [ChatSubscription] = []
            for _ in 0..<3 { readers.append(try await nodes[0].hub.subscribe(to: test.chat, after: nil)) }
            readers.removeLast(2)
            #expect(try await redis.chatChannels() != "")
            readers = []
            try await eventually("the channel is left") { try await redis.chatChannels() == "" }
        }
    }
}

extension RedisServer {
    /// Of chats that somebody reads.
    func chatChannels() async throws -> String { try await cli("PUBSUB", "CHANNELS", "luciq:*:chat:*") }

    /// A number of `INFO`.
    func statistic(_ name: String) async throws -> Int? {
        try await cli("INFO").split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
            .flatMap { Int($0.dropFirst(name.count + 1)) }
    }
}
