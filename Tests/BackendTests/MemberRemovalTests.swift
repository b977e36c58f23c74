import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// A user who is removed, banned or demoted while it creates and reads: once that is answered, nothing more of it is stored,
/// and nothing more is delivered.
@Suite(.timeLimit(.minutes(4))) struct MemberRemovalTests {
    enum Way: CaseIterable, Sendable {
        case remove, ban, demote, close

        /// Whether the user may not read any more.
        var ends: Bool { self != .demote }
    }

    @Test(arguments: BackendKind.allCases, Way.allCases)
    func nothingCommitsAfterTheAnswer(_ kind: BackendKind, _ way: Way) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let owner = try await users.application.scope.chat("1")
            let user = User.ID("u1")!
            if way == .close {
                _ = try await owner.update(Chat.Patch(access: .open))
            } else {
                _ = try await owner.update(Chat.Patch(access: .members))
                _ = try await owner.setMember(user, role: .member)
            }
            // Requests that were let in before: what is checked from now on, the creates check themselves.
            let chat = try await users.access(users.token("u1")).tenant.chat("1")
            let busy = BusyUser(chat)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<8 { tasks.addTask { await busy.create() } }
                for _ in 0..<2 {
                    let subscription = try await chat.subscribe(after: Cursor(0))
                    tasks.addTask { await busy.read(subscription) }
                }
                tasks.addTask { for _ in 0..<300 { _ = try await owner.send(MessageContent(body: "other")) } }
                try await eventually("it is busy") { busy.stored.withLock { $0 > 50 } && busy.received > 50 }
                switch way {
                case .remove: try await owner.removeMember(user)
                case .ban: _ = try await owner.setMember(user, role: .banned)
                case .demote: _ = try await owner.setMember(user, role: .reader)
                case .close: _ = try await owner.update(Chat.Patch(access: .members))
                }
                let count = try await owner.messageCount()
                busy.isAnswered.withLock { $0 = true }
                let own = try await Self.count(of: user, owner)
                for _ in 0..<20 { _ = try await owner.send(MessageContent(body: "later")) }
                if !way.ends {
                    try await eventually("it reads on") { busy.last > count }
                    busy.end()
                }
                try await tasks.waitForAll()
                #expect(try await Self.count(of: user, owner) == own)
                #expect(busy.late.withLock(\.self) == 0)
                if way.ends { #expect(busy.heardLate.withLock(\.self) == []) }
                #expect(busy.ends.withLock(\.self) == [way.ends ? .notFound : .cancelled])
            }
        }
    }

    /// A chat that is open no more, where a member sees less than everybody did: what was there before is read no more, and
    /// the member comes back to what is there now.
    @Test(arguments: BackendKind.allCases)
    func aRangeThatNarrowsEndsReaders(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let owner = try await users.application.scope.chat("1")
            _ = try await owner.update(Chat.Patch(access: .open, history: .sinceJoin))
            for body in ["y", "z"] { _ = try await owner.send(MessageContent(body: body)) }
            for user in ["all", "late"] { _ = try await users.access(users.token(user)) }
            _ = try await owner.update(Chat.Patch(history: .all))
            _ = try await owner.setMember(User.ID("all")!, role: .member)
            _ = try await owner.update(Chat.Patch(history: .sinceJoin))
            _ = try await owner.setMember(User.ID("late")!, role: .member)
            func chat(_ user: String) async throws -> ChatScope {
                try await users.access(users.token(user)).tenant.chat("1")
            }
            let all = try await chat("all").subscribe(after: Cursor(0))
            let late = try await chat("late").subscribe(after: Cursor(0))
            let upToDate = try await chat("late").subscribe(after: Cursor(3))
            _ = try await owner.update(Chat.Patch(access: .members))
            for subscription in [late, upToDate] {
                await #expect(throws: StreamEnd.goingAway) { try await subscription.next() }
            }
            #expect(try await all.next().messages.map(\.body) == ["x", "y", "z"])
            _ = try await owner.send(MessageContent(body: "new"))
            let again = try await chat("late").subscribe(after: Cursor(0))
            #expect(again.cursor == Cursor(3))
            #expect(try await again.next().messages.map(\.body) == ["new"])
            // The other way nothing ends.
            _ = try await owner.update(Chat.Patch(access: .open))
            _ = try await owner.send(MessageContent(body: "newer"))
            #expect(try await again.next().messages.map(\.body) == ["newer"])
        }
    }

    private static func count(of user: User.ID, _ chat: ChatScope) async throws -> Int {
        var (count, page) = (0, Page(limit: 1000, after: 0))
        while true {
            let found = try await chat.messages(page)
            count += found.items.count { $0.content.sender == user }
            guard found.hasNext, let last = found.items.last else { return count }
            page.after = last.number.rawValue
        }
    }
}

/// Creates and reads in a chat until it is refused.
final class BusyUser: Sendable {
    let isAnswered = Mutex(false)
    let stored = Mutex(0)
    /// Creates that began after the answer, and were stored.
    let late = Mutex(0)
    /// Messages that were delivered after the answer.
    let heardLate = Mutex<[Int64]>([])
    let ends = Mutex<Set<StreamEnd>>([])
    private let heard = Mutex<(count: Int, last: Int64)>((0, 0))
    private let subscriptions = Mutex<[ChatSubscription]>([])
    private let chat: ChatScope

    init(_ chat: ChatScope) { self.chat = chat }

    var received: Int { heard.withLock(\.count) }
    var last: Int64 { heard.withLock(\.last) }

    func create() async {
        while true {
            let wasAnswered = isAnswered.withLock(\.self)
            do {
                _ = try await chat.send(MessageContent(body: "m", sender: chat.tenant.access.user))
                stored.withLock { $0 += 1 }
                if wasAnswered { late.withLock { $0 += 1 } }
            } catch {
                let isRefusal = [.notFound, .insufficientRole].contains(error as? ChatError)
                #expect(isRefusal, "\(error)")
                return
            }
        }
    }

    func read(_ subscription: ChatSubscription) async {
        subscriptions.withLock { $0.append(subscription) }
        while true {
            let wasAnswered = isAnswered.withLock(\.self)
            do throws(StreamEnd) {
                let messages = try await subscription.next().messages
                if wasAnswered { heardLate.withLock { $0 += messages.map(\.number.rawValue) } }
                heard.withLock { heard in
                    heard.count += messages.count
                    heard.last = messages.last?.number.rawValue ?? heard.last
                }
            } catch {
                ends.withLock { _ = $0.insert(error) }
                return
            }
        }
    }

    func end() { for subscription in subscriptions.withLock(\.self) { subscription.cancel() } }
}
