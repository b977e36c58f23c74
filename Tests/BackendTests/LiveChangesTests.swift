import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// A reader that comes back after any absence ends in the state of one that never left.
@Suite(.timeLimit(.minutes(4))) struct LiveChangesTests {
    /// Several writers' random creates, edits, deletions, reactions, pins, changes of members and settings; readers that come and go, some
    /// of them slow; a bus that loses, repeats and delays what it should tell.
    @Test(arguments: BackendKind.allCases, [1, 2, 3])
    func readersConverge(_ kind: BackendKind, _ seed: Int) async throws {
        try await TestBackend.run(kind) { test in
            var lossy = test
            let bus = LossyBus(test.backend.bus, seed: UInt64(seed))
            lossy.backend.bus = bus
            let chat = try await test.makeChat()
            var limits = StreamLimits()
            if seed == 2 {
                limits.window = .init(messages: 3, bytes: 1000)
                limits.smallWindow = .init(messages: 2, bytes: 500)
                limits.page = .init(messages: 2, bytes: 500)
            }
            try await lossy.withHub(limits) { hub in
                let isOver = Flag()
                let isDone = { @Sendable (replica: ChatReplica) async throws -> Bool in
                    guard isOver.isSet.withLock(\.self) else { return false }
                    return replica.contents == (try await test.contents(of: chat))
                }
                try await withThrowingTaskGroup(of: ChatReplica?.self) { tasks in
                    for reader in 0..<12 {
                        let random = SeededRandom(seed: UInt64(seed * 100 + reader))
                        tasks.addTask {
                            try await Self.follow(chat, hub, restarts: reader % 4, random: random, until: isDone)
                        }
                    }
                    tasks.addTask {
                        try await withThrowingTaskGroup { writers in
                            for writer in 0..<3 {
                                let random = SeededRandom(seed: UInt64(seed * 1000 + writer))
                                writers.addTask { try await Self.write(to: chat, test, random: random) }
                            }
                            try await writers.waitForAll()
                        }
                        isOver.isSet.withLock { $0 = true }
                        // For readers that wait at the end.
                        while !Task.isCancelled {
                            bus.mend()
                            try? await Task.sleep(for: .milliseconds(20))
                        }
                        return nil
                    }
                    var replicas = 0
                    for try await replica in tasks {
                        guard let replica else { continue }
                        replicas += 1
                        #expect(replica.violations == [])
                        let stored = try await test.contents(of: chat)
                        #expect(replica.contents == stored)
                        if replicas == 12 { tasks.cancelAll() }
                    }
                    #expect(replicas == 12)
                }
            }
            #expect(try await test.verify().isClean)
        }
    }

    private static func write(to chat: Chat.ID, _ test: TestBackend, random: SeededRandom) async throws {
        var random = random
        var count = 0
        for step in 0..<40 {
            let some = (0..<Int.random(in: 1...3, using: &random)).compactMap { _ -> TestBackend.Edit? in
                guard count > 0 else { return nil }
                let number = Int64(Int.random(in: max(1, count - 9)...count, using: &random))
                let name = ["a", "b"].randomElement(using: &random)!
                let user = "u\(Int.random(in: 1...3, using: &random))"
                let change: TestBackend.Change =
                    switch Int.random(in: 0..<9, using: &random) {
                    case 0: .delete
                    case 1, 2: .react(name, user)
                    case 3: .unreact(name, user)
                    case 4, 5: .pin
                    case 6: .unpin
                    default: .body("edit \(step)")
                    }
                return (chat, number, change)
            }
            switch count == 0 ? 0 : Int.random(in: 0..<10, using: &random) {
            case 0..<3: count = Int(try await test.send((0...step % 3).map { "new \(step) \($0)" }, to: chat).last ?? 0)
            case 3: try await test.rename(chat, to: ["A", "B", "C"].randomElement(using: &random)!)
            case 4, 5:
                let role = [Member.Role.member, .reader, .banned, nil].randomElement(using: &random)!
                try await test.set("u\(Int.random(in: 1...3, using: &random))", in: chat, to: role)
            case 6: count = Int(try await test.reply(["reply \(step)", "again \(step)"], to: 1, in: chat).last ?? 0)
            default: try await test.revise(some)
            }
            if step % 10 == 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    /// Follows a chat as a client does, and comes back with its cursor as text.
    private static func follow(
        _ chat: Chat.ID, _ hub: Hub, restarts: Int, random: SeededRandom,
        until isDone: @Sendable (ChatReplica) async throws -> Bool
    ) async throws -> ChatReplica {
        var random = random
        var replica = ChatReplica(cursor: Cursor(0, revision: 0))
        var patience = Duration.milliseconds(300)
        while true {
            try Task.checkCancellation()
            let cursor = Cursor("\(replica.cursor)"[...])!
            let subscription = try await hub.subscribe(
                to: chat, of: Tenant.ID(1), after: cursor, hasChanges: true)
            var pages = 0
            while restarts == 0 || pages < 5 * restarts {
                if try await isDone(replica) { return replica }
                let events = try await withEnd(after: patience) { try await subscription.next() }
                guard let events else {
                    // A busy machine takes longer.
                    patience = min(patience * 2, .seconds(10))
                    break
                }
                replica.apply(events)
                pages += 1
                if Int.random(in: 0..<8, using: &random) == 0 { try await Task.sleep(for: .milliseconds(3)) }
            }
            subscription.cancel()
        }
    }

    /// - Returns: nil if it takes longer.
    private static func withEnd<T: Sendable>(
        after time: Duration, _ body: @escaping @Sendable () async throws -> T
    ) async throws -> T? {
        try await withThrowingTaskGroup(of: T?.self) { tasks in
            tasks.addTask {
                // Who is too slow comes back, too.
                do { return try await body() } catch StreamEnd.cancelled, StreamEnd.slowConsumer { return nil }
            }
            tasks.addTask {
                try? await Task.sleep(for: time)
                return nil
            }
            defer { tasks.cancelAll() }
            return try await tasks.next() ?? nil
        }
    }

    /// Changes come after the message that they are of, what a reader does not have does not change for it, and a change
    /// that nobody told of is found.
    @Test(arguments: BackendKind.allCases)
    func theOrderOfEvents(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send((1...6).map { "m\($0)" }, to: chat)
            try await test.revise([(chat, 1, .body("one")), (chat, 5, .body("five")), (chat, 2, .delete)])
            try await test.withHub { hub in
                func start(_ cursor: Cursor?) async throws -> ChatSubscription {
                    try await hub.subscribe(to: chat, of: Tenant.ID(1), after: cursor, hasChanges: true)
                }
                // (a) what has changed of 1…3, then (b) the rest as it is now.
                let resumed = try await start(Cursor(3, revision: 0))
                let first = try await resumed.next()
                #expect(first.changes.map(\.item.number) == [1, 2] && first.changes.map(\.revision) == [1, 3])
                let rest = try await resumed.next().messages
                #expect(rest.map(\.body) == ["m4", "five", "m6"])
                #expect(resumed.cursor == Cursor(3, revision: 0))
                // From the head on.
                let live = try await start(nil)
                #expect(live.cursor == Cursor(6, revision: 3))
                let old = try await hub.subscribe(to: chat, after: 6)
                #expect(old.cursor == Cursor(6))
                try await test.revise([(chat, 6, .body("six"))])
                try await test.send(["m7"], to: chat)
                try await test.revise([(chat, 7, .body("seven"))])
                var replica = ChatReplica(cursor: live.cursor)
                for message in try await test.list(chat, Page(limit: 6)).items {
                    replica.messages[message.number] = message
                }
                while replica.cursor != Cursor(7, revision: 5) { replica.apply(try await live.next()) }
                let all = try await test.list(chat).items
                #expect(replica.violations == [] && replica.list == all)
                #expect(replica.list.last?.body == "seven")
                // One that reads messages alone gets what it always got.
                let next = try await old.next()
                #expect(next.event(at: 0).cursor == Cursor(7))
            }
        }
    }

    /// Members, settings and pins are told live and to who comes back; a pin of a message that a client does not have yet is
    /// not lost, and one that was removed does not hear who comes and goes.
    @Test(arguments: BackendKind.allCases)
    func membersSettingsAndPins(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["m1"], to: chat)
            try await test.withHub { hub in
                func start(_ cursor: Cursor?) async throws -> ChatSubscription {
                    try await hub.subscribe(to: chat, of: Tenant.ID(1), after: cursor, hasChanges: true)
                }
                let live = try await start(nil)
                var replica = ChatReplica(cursor: live.cursor)
                for message in try await test.list(chat).items { replica.messages[message.number] = message }
                try await test.set("u1", in: chat, to: .owner)
                try await test.set("u2", in: chat, to: .member)
                try await test.rename(chat, to: "Kitchen")
                try await test.send(["m2", "m3"], to: chat)
                try await test.revise([(chat, 2, .pin), (chat, 3, .pin), (chat, 3, .delete)])
                try await test.set("u2", in: chat, to: nil)
                while replica.cursor != Cursor(3, revision: 7) { replica.apply(try await live.next()) }
                let stored = try await test.contents(of: chat)
                #expect(replica.contents == stored && replica.violations == [])
                #expect(stored.settings.name == "Kitchen" && stored.pins.map(\.number.rawValue) == [2])
                #expect(stored.members.map(\.user.text) == ["u1"])
            }
            // It has only m1, and no feed has the changes any more: the pins come before their messages, and stay.
            let stored = try await test.contents(of: chat)
            try await test.withHub { hub in
                let resumed = try await hub.subscribe(
                    to: chat, of: Tenant.ID(1), after: Cursor(1, revision: 0), hasChanges: true)
                var later = ChatReplica(cursor: resumed.cursor)
                for message in stored.messages.prefix(1) { later.messages[message.number] = message }
                while later.cursor != Cursor(3, revision: 7) { later.apply(try await resumed.next()) }
                #expect(later.contents == stored && later.violations == [])
            }
            let items = try await test.backend.changes.changes(in: chat, after: 0, upTo: .max, limit: 100)
            #expect(items.map(\.kind) == [.member, .chat, .pin, .pin, .message, .member])
            let left = items.filter { $0.isThere(in: NumberSpan(last: 2)) }
            #expect(left.map(\.kind) == [.chat, .pin])
        }
    }
}

extension TestBackend {
    /// - Parameter role: nil: it is removed.
    func set(_ user: String, in chat: Chat.ID, to role: Member.Role?) async throws {
        let change = MemberChange(chat: try await place(of: chat), user: User.ID(user)!, role: role)
        _ = try await backend.tenantLog.apply([.member(change)], at: Self.time)
    }

    func rename(_ chat: Chat.ID, to name: String) async throws {
        let update = ChatUpdate(chat: try await place(of: chat), patch: Chat.Patch(name: name))
        _ = try await backend.tenantLog.apply([.chat(update)], at: Self.time)
    }

    typealias Edit = (chat: Chat.ID, number: Int64, change: TestBackend.Change)

    /// - Returns: the numbers.
    func reply(_ bodies: [String], to root: Int64, in chat: Chat.ID) async throws -> [Int64] {
        let replies = bodies.map { body in
            NewMessage(tenant: tenant, chat: chat, content: MessageContent(body: body, thread: Message.Number(root)))
        }
        return try await backend.chatLog.append(replies, at: TestBackend.time).map { try $0.get().number.rawValue }
    }

    func head(of chat: Chat.ID) async throws -> Cursor {
        let highest = try await backend.messages.lastNumbers(of: [chat])[chat] ?? 0
        return Cursor(highest, revision: try await backend.changes.revisions(of: [chat])[chat] ?? 0)
    }
}

private final class Flag: Sendable {
    let isSet = Mutex(false)
}
