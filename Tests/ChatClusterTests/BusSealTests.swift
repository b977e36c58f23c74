import ChatCore
import Cryptography
import MySQLClient
import RedisClient
import Synchronization
import TestSupport
import Testing

@testable import ChatCluster

/// What Redis, and anyone with access to it, can do to the bus.
@Suite(.timeLimit(.minutes(2))) struct BusSealTests {
    private let key: SecretKey
    private let seal: BusSeal

    init() {
        key = SecretKey.random()
        seal = BusSeal(key: key)
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1000, 65_536])
    func onlyTheSameChannelOpensIt(_ size: Int) {
        let plain = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        let sealed = seal.seal(plain, for: "a:1")
        #expect(seal.open(sealed, from: "a:1") == plain)
        #expect(seal.open(sealed, from: "a:2") == nil)
        #expect(BusSeal(key: SecretKey.random()).open(sealed, from: "a:1") == nil)
        #expect(seal.seal(plain, for: "a:1") != sealed)
        #expect(sealed.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "any client of Redis can show it")
        let other = BusSeal(key: key)
        #expect(other.open(sealed, from: "a:1") == plain)
        #expect(other.open(other.seal(plain, for: "a:1"), from: "a:1") == plain)
    }

    /// A payload made by another program from the comment of `BusSeal`: servers of two versions understand each other.
    @Test func itsFormIsTheOneOfEveryVersion() {
        let sealed = "1591f725cZGVmZ2hpamtsbW5vcHFycwAAAAAAAAAHJz9x8AW/Pm8uoFRUG9h3KUgkXoYdMg=="
        let seal = BusSeal(key: SecretKey(Array(0..<32)))
        #expect(seal.open(Array(sealed.utf8), from: "a:1", at: "mysql:1") == Array("Héllo".utf8))
    }

    @Test func noByteOfItCanBeChanged() {
        let sealed = seal.seal(Array("a message!!".utf8), for: "a")
        for index in sealed.indices {
            for bit in 0..<8 as Range<UInt8> {
                var altered = sealed
                altered[index] ^= 1 << bit
                #expect(seal.open(altered, from: "a") == nil)
            }
            #expect(seal.open(Array(sealed[..<index]), from: "a") == nil)
        }
        #expect(seal.open([], from: "a") == nil)
    }

    /// A nonce that is used twice reveals both texts and the authentication key.
    @Test func noNonceIsUsedTwice() async {
        let key = key
        let heads = await withTaskGroup(of: [ArraySlice<UInt8>].self) { tasks in
            for _ in 0..<8 {
                tasks.addTask {
                    let sender = BusSeal(key: key)
                    return (0..<1000).map { _ in sender.seal([], for: "a").prefix(1 + 8 + 32) }
                }
            }
            for _ in 0..<8 {
                tasks.addTask { [seal] in (0..<1000).map { _ in seal.seal([], for: "a").prefix(1 + 8 + 32) } }
            }
            return await tasks.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(heads).count == 16_000)
    }

    /// The keys of former senders do not accumulate, nor do payloads of strangers.
    @Test func sendersOfTheDayAreOpened() {
        for number in 0..<2100 {
            let plain = Array("message \(number)".utf8)
            #expect(seal.open(BusSeal(key: key).seal(plain, for: "a"), from: "a") == plain)
        }
        #expect(seal.rememberedSenders <= 1024)
        let before = seal.rememberedSenders
        #expect(seal.open(BusSeal(key: SecretKey.random()).seal([1], for: "a"), from: "a") == nil)
        #expect(seal.rememberedSenders == before)
    }

    @Test func processesThatStartAtOnceAgree() async throws {
        let configuration = try await TestCluster.configuration()
        _ = try await MySQLKeeper(configuration, logger: TestCluster.logger).migrate()
        let found = try await withThrowingTaskGroup(of: Deployment.self) { tasks in
            for _ in 0..<8 {
                tasks.addTask {
                    let connection = try await MySQLConnection.connect(configuration.mysql)
                    let deployment = try await connection.perform { try Deployment($0) }
                    await connection.close()
                    return deployment
                }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(found.map(\.id)).count == 1 && found.allSatisfy { $0.key == found[0].key })
        #expect(found[0].id.count == 16)
    }

    @Test func aResetMakesItAnother() async throws {
        try await TestCluster.run { test in
            let before = try await test.deployment()
            try await test.keeper.reset()
            let after = try await test.deployment()
            #expect(before.id != after.id && before.key != after.key)
        }
    }

    /// A Redis user with PUBLISH and SUBSCRIBE can read no text and put none into a stream.
    @Test func whoReachesRedisCanNeitherReadNorForge() async throws {
        let redis = try await RedisServer.start()
        try await StreamNode.run(redis: [redis.url(), redis.url()]) { nodes, test in
            for node in nodes { try await node.waitUntilHearing() }
            let chats = [test.chat, try await test.anotherChat()]
            var readers: [ChatSubscription] = []
            for chat in chats { readers.append(try await nodes[1].hub.subscribe(to: chat, after: nil)) }
            let channels = BusChannels(deployment: try await test.deployment().id)
            try await withSpy(on: redis, channel: channels.name(of: chats[0])) { heard in
                try await nodes[0].send("private", to: chats[0], test)
                #expect(try await readers[0].next().messages.map(\.body) == ["private"])
                try await eventually("the spy hears it") { !heard().isEmpty }
                let payload = heard()
                #expect(!String(decoding: payload, as: UTF8.self).contains("private"))
                // Replayed, moved to another chat, altered, and in the previous version's format.
                let plain = "[{\"number\":2,\"created_at\":1763830664194123,\"body\":\"FORGED\"}]"
                for forged in [payload, Array(payload.dropLast(4)), Array(plain.utf8)] {
                    for chat in chats {
                        _ = try await test.store.redis.send(
                            RedisCommand(
                                bytes: [Array("PUBLISH".utf8), Array(channels.name(of: chat).utf8), forged]))
                    }
                }
                try await nodes[0].send("real", to: chats[0], test)
                try await nodes[0].send("other", to: chats[1], test)
                #expect(try await readers[0].next().messages.map(\.body) == ["real"])
                #expect(try await readers[1].next().messages.map(\.body) == ["other"])
            }
        }
    }
    /// A foreign Redis client. `heard` is the first payload that it receives.
    private func withSpy(
        on redis: RedisServer, channel: String, _ body: (_ heard: () -> [UInt8]) async throws -> Void
    ) async throws {
        let heard = Payload()
        let spy = RedisSubscriber(
            try RedisConfiguration(url: redis.url()), maxChannels: 1, logger: TestCluster.logger,
            onMessage: { heard.set($1) }, onGap: {})
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await spy.run() }
            defer { tasks.cancelAll() }
            try await eventually("the spy is connected") { spy.isConnected }
            try await spy.subscribe(channel)
            try await body { heard.first }
        }
    }
}

private final class Payload: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    var first: [UInt8] { bytes.withLock { $0 } }

    func set(_ payload: [UInt8]) { bytes.withLock { if $0.isEmpty { $0 = payload } } }
}
