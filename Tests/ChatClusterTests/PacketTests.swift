import ChatCore
import MySQLClient
import TestSupport
import Testing

@testable import ChatCluster

/// A server that takes small packets only (`max_allowed_packet`).
@Suite(.timeLimit(.minutes(2))) struct PacketTests {
    private static let packet = 32_768

    private func run(_ body: (TestCluster, RedisServer) async throws -> Void) async throws {
        let server = try await MariaDBServer.start(["--max-allowed-packet=\(Self.packet)"])
        let redis = try await RedisServer.start()
        let configuration = try await TestCluster.configuration(mysql: server.url(), redis: redis.url())
        try await TestCluster.run(configuration) { try await body($0, redis) }
    }

    private func batch(_ bodies: [String], _ test: TestCluster, isKeyed: Bool) throws -> [NewMessage] {
        try bodies.enumerated().map { index, body in
            let key = isKeyed ? try IdempotencyKey("\(index)" + String(repeating: "k", count: 250), content: []) : nil
            return NewMessage(tenant: test.tenant, chat: test.chat, body: body, key: key)
        }
    }

    /// Many more bytes than a packet, of messages large and small, and of their keys.
    @Test(arguments: [true, false]) func aBatchIsSpreadOverStatements(_ isKeyed: Bool) async throws {
        try await run { test, _ in
            let bodies = (0..<300).map { String(repeating: "x", count: $0 % 10 == 0 ? 20_000 : $0) + "\($0)" }
            let batch = try batch(bodies, test, isKeyed: isKeyed)
            for isAgain in isKeyed ? [false, true] : [false] {
                let results = try await test.store.append(batch, at: TestCluster.time).map { try $0.get() }
                #expect(results.map(\.number.rawValue) == Array(1...300))
                #expect(results.allSatisfy { $0.isReplay == isAgain })
            }
            for number in [1, 2, 11, 300] {
                let stored = try await test.store.message(Message.Number(Int64(number)), in: test.chat)
                #expect(stored?.body == bodies[number - 1])
            }
            let chats = Array(repeating: NewChat(tenant: test.tenant), count: 512)
            #expect(try await test.store.append(chats, at: TestCluster.time).last?.get().number.rawValue == 513)
            #expect(try await test.verify().isClean)
        }
    }

    /// It is the only one that is refused.
    @Test(arguments: [true, false]) func aMessageThatIsTooLarge(_ hasRedis: Bool) async throws {
        try await run { test, redis in
            if !hasRedis { redis.kill() }
            let large = String(repeating: "x", count: Self.packet)
            let bodies = ["a", large, String(repeating: "y", count: 30_000), large, "b"]
            let batch = try batch(bodies, test, isKeyed: true)
            for _ in 0..<2 {
                let results = try await test.store.append(batch, at: TestCluster.time)
                for (body, result) in zip(bodies, results) {
                    switch result {
                    case .success(let stored):
                        let found = try await test.store.message(stored.number, in: test.chat)
                        #expect(body != large && found?.body == body)
                    case .failure(let error):
                        #expect(body == large && error.code == "invalid" && !error.mayRetry)
                    }
                }
            }
            #expect(try await test.store.count(in: test.chat) == 3)
            #expect(try await test.verify().isClean)
        }
    }

    @Test func noStatementIsLargerThanAPacket() {
        var random = SeededRandom(seed: 13)
        for _ in 0..<200 {
            let packet = Int.random(in: 1000...100_000, using: &random)
            let values = (0..<Int.random(in: 0...600, using: &random)).map { _ in
                Int.random(in: 0...(Bool.random(using: &random) ? 100 : 20_000), using: &random)
            }
            let slices = values.statements(within: packet, values: { $0 })
            #expect(slices.flatMap(\.self) == values)
            for slice in slices where slice.count > 1 {
                #expect(StatementSize.fixed + slice.reduce(0) { $0 + StatementSize.row($1) } <= packet)
                #expect(rowCounts.contains(slice.count))
            }
        }
    }
}
