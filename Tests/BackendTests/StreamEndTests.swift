import ChatCore
import Synchronization
import TestSupport
import Testing

/// How subscriptions end, and what they leave behind.
@Suite(.timeLimit(.minutes(3))) struct StreamEndTests {
    @Test(arguments: BackendKind.allCases)
    func cancelledOrLetGoOf(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            var limits = StreamLimits()
            limits.subscriptions = 4
            try await test.withHub(limits) { hub in
                let first = try await hub.subscribe(to: chat, after: nil)
                var second: ChatSubscription? = try await hub.subscribe(to: chat, after: 0)
                // Half of them is one tenant's share; another finds room.
                await #expect(throws: ChatError.overloaded) { try await hub.subscribe(to: chat, after: nil) }
                _ = try await hub.subscribe(to: chat, of: Tenant.ID(2), after: nil)

                let waiting = Task { try await first.next() }
                first.cancel()
                await #expect(throws: StreamEnd.cancelled) { try await waiting.value }
                await #expect(throws: StreamEnd.cancelled) { try await first.next() }

                #expect(second != nil)
                second = nil
                // It takes its place.
                let third = try await hub.subscribe(to: chat, after: nil)
                let cancelled = Task { try await third.next() }
                cancelled.cancel()
                await #expect(throws: StreamEnd.cancelled) { try await cancelled.value }
            }
        }
    }

    /// The last reader of a chat leaves while another one arrives, over and over: the new one always gets its messages.
    @Test(arguments: BackendKind.allCases)
    func comingAndGoingLosesNothing(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.withHub { hub in
                for round in 1...100 as ClosedRange<Int64> {
                    let subscription = try await hub.subscribe(to: chat, after: nil)
                    #expect(subscription.cursor.number == round - 1)
                    try await test.send(["\(round)"], to: chat)
                    #expect(try await subscription.next().messages.map(\.number.rawValue) == [round])
                }
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aShutdownEndsAll(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let kept = Mutex<(hub: Hub, subscriptions: [ChatSubscription])?>(nil)
            let waiting = Mutex<[Task<[Message], any Error>]>([])
            try await test.withHub { hub in
                var subscriptions: [ChatSubscription] = []
                for _ in 0..<10 { subscriptions.append(try await hub.subscribe(to: chat, after: nil)) }
                for subscription in subscriptions.dropLast() {
                    waiting.withLock { $0.append(Task { try await subscription.next().messages }) }
                }
                kept.withLock { $0 = (hub, subscriptions) }
            }
            for task in waiting.withLock({ $0 }) { await #expect(throws: StreamEnd.goingAway) { try await task.value } }
            guard let (hub, subscriptions) = kept.withLock({ $0 }) else { return }
            await #expect(throws: StreamEnd.goingAway) { try await subscriptions[9].next() }
            await #expect(throws: ChatError.shuttingDown) { try await hub.subscribe(to: chat, after: 0) }
        }
    }

    /// The store is down: new readers are refused; existing readers wait, and get everything when it is back.
    @Test(arguments: BackendKind.allCases)
    func withoutTheStoreReadersWait(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let (chat, other) = (try await test.makeChat(), try await test.makeChat())
            try await test.send((1...600).map(String.init), to: chat)
            let store = StoreThatFails(inner: test.backend.messages)
            var broken = test
            broken.backend.messages = store
            try await broken.withHub { hub in
                let reader = try await hub.subscribe(to: chat, after: 0)
                #expect(try await reader.next().count == 256)
                store.isAway.withLock { $0 = true }
                await #expect(throws: ChatError.unavailable(reason: "away")) {
                    try await hub.subscribe(to: other, after: nil)
                }
                let rest = Task { try await reader.take(345) }
                try await test.send(["601"], to: chat)
                try await eventually("it was asked again and again") { store.failures.withLock { $0 > 5 } }
                store.isAway.withLock { $0 = false }
                #expect(try await rest.value.map(\.number.rawValue) == Array(257...601))
                _ = try await hub.subscribe(to: other, after: nil)
            }
        }
    }
}

/// A store that can be made to fail.
private final class StoreThatFails: MessageStore {
    let inner: any MessageStore
    let isAway = Mutex(false)
    let failures = Mutex(0)

    init(inner: any MessageStore) { self.inner = inner }

    private func pass<Result>(_ call: (any MessageStore) async throws -> Result) async throws -> Result {
        if isAway.withLock(\.self) {
            failures.withLock { $0 += 1 }
            throw ChatError.unavailable(reason: "away")
        }
        return try await call(inner)
    }

    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await pass { try await $0.message(number, in: chat) }
    }
    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await pass { try await $0.messages(in: chat, page: page) }
    }
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await pass { try await $0.search(query, in: chat, page: page) }
    }
    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        try await pass { try await $0.search(query, in: tenant, page: page) }
    }
    func count(in chat: Chat.ID) async throws -> Int64? { try await pass { try await $0.count(in: chat) } }
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await pass { try await $0.entries(in: chat, after: number, limit: limit) }
    }
    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await pass { try await $0.lastNumbers(of: chats) }
    }
    func tail(of chat: Chat.ID) async throws -> LogTail { try await pass { try await $0.tail(of: chat) } }
}
