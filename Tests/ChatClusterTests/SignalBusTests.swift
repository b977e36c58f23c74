import ChatCore
import TestSupport
import Testing

@testable import ChatCluster

/// What passes, from one process to another.
@Suite(.timeLimit(.minutes(2))) struct SignalBusTests {
    private let ann = User.ID("ann")!
    private let chat = Chat.ID(7)

    private func signals(_ payload: [UInt8]) -> [Signal]? {
        if case .signals(chat, let signals) = BusPayload.chatEvent(payload, of: chat) { signals } else { nil }
    }

    @Test func aPayloadIsReadAsItWasWritten() {
        let told: [Signal] = [.typing(ann), .read(ReadReceipt(user: ann, number: 43))]
        #expect(signals(BusPayload.encode(signals: told)) == told)
        #expect(
            String(decoding: BusPayload.encode(signals: told), as: UTF8.self)
                == #"{"signals":[{"signal":"typing","user":"ann","expires_in":6},"#
                + #"{"signal":"read","user":"ann","number":43}]}"#)
    }

    /// A newer server's, or none at all.
    @Test(arguments: [
        #"{"signals":[]}"#, #"{"signals":[{"signal":"read","user":"ann","number":-1}]}"#,
        #"{"signals":[{"signal":"read","user":"","number":1}]}"#, #"{"signals":[{"signal":"read","user":"ann"}]}"#,
        #"{"signals":[{"signal":"waves","user":"ann"}]}"#, #"{"signals":{}}"#, #"{"signals":[1]}"#,
        #"{"signals":[{"signal":"read","user":"ann","number":1e9}]}"#, #"{"signals":[{"signal":"read""#,
    ])
    func whatIsNoneIsDropped(_ payload: String) { #expect(signals(Array(payload.utf8)) == nil) }

    @Test func aPayloadIsBounded() {
        let many = (0..<5000).map { Signal.read(ReadReceipt(user: User.ID("u\($0)")!, number: 1)) }
        #expect(signals(BusPayload.encode(signals: many))?.count == ChatScope.mostReceipts + 1)
    }

    @Test func anotherProcessHearsOfThem() async throws {
        let redis = try await SharedServers.freshRedisDatabase()
        try await StreamNode.run(redis: [redis, redis]) { nodes, test in
            for node in nodes { try await node.waitUntilHearing() }
            let subscription = try await nodes[1].hub.subscribe(
                to: test.chat, of: test.tenant, after: nil, hasReads: true)
            let told = Signal.read(ReadReceipt(user: ann, number: 1))
            nodes[0].backend.bus.publish([.typing(ann), told], in: test.chat)
            guard case .signals(let heard) = try await subscription.next().items else {
                Issue.record("no signals")
                return
            }
            #expect(heard == [told])
        }
    }
}
