import Foundation
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Edits and deletions in the stores: revisions, what is kept, and what is not.
@Suite(.timeLimit(.minutes(4))) struct EditTests {
    @Test(arguments: BackendKind.allCases)
    func revisionsAreDenseInEachChat(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let changes = test.backend.changes
            let (one, other) = (try await test.makeChat(), try await test.makeChat())
            for chat in [one, other] { try await test.send(["a", "b", "c"], to: chat) }
            #expect(try await changes.revisions(of: [one, other]) == [:])
            // Many changes in one transaction, two of them to one message.
            let results = try await test.revise([
                (one, 2, .body("B")), (other, 1, .body("A")), (one, 3, .delete), (one, 2, .body("B2")),
                (one, 9, .body("none")), (one, 2, .body("B2")),
            ])
            #expect(results.map { $0.revision } == [1, 1, 2, 3, nil, 3])
            #expect(results[4] == .failure(.notFound))
            #expect(try results[5].get().isChanged == false)
            #expect(try await changes.revisions(of: [one, other]) == [one: 3, other: 1])
            // One row for each thing, moved up.
            let items = try await changes.changes(in: one, after: 0, upTo: 99, limit: 10)
            #expect(items.map(\.number) == [3, 2] && items.map(\.revision) == [2, 3])
            #expect(items.allSatisfy { $0.kind == .message && $0.user == nil })
            #expect(try await changes.changes(in: one, after: 2, upTo: 99, limit: 10).map(\.number) == [2])
            #expect(try await changes.changes(in: one, after: 0, upTo: 2, limit: 10).map(\.number) == [3])
            #expect(try await changes.changes(in: one, after: 0, upTo: 99, limit: 1).map(\.number) == [3])
            let listed = try await test.list(one).items
            #expect(listed.map(\.body) == ["a", "B2", ""] && listed.map(\.revision) == [0, 3, 2])
            #expect(listed[1].editedAt == TestBackend.time && listed[2].deletion?.at == TestBackend.time)
            #expect(try await changes.deletedCount(in: one, of: .all) == 1)
            #expect(try await changes.deletedCount(in: one, of: NumberSpan(first: 1, last: 2)) == 0)
            #expect(try await changes.deletedCount(in: other, of: .all) == 0)
            #expect(try await test.backend.messages.count(in: one) == 3)
            #expect(try await test.verify().problems == [])
        }
    }

    @Test(arguments: BackendKind.allCases)
    func replacedContentsAreKept(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["one"], to: chat)
            // In the past, so that their time is up when nothing is kept any more.
            let moments = (1...3).map { TestBackend.time.adding(.seconds($0 - 100)) }
            for (moment, body) in zip(moments, ["two", "three", "four"]) {
                try await test.revise([(chat, 1, .body(body))], at: moment)
            }
            func versions(_ page: Page, since index: Int = 0) async throws -> PageOf<MessageVersion> {
                try await test.backend.changes.versions(
                    of: Message.Number(1), in: chat, page: page, since: moments[index])
            }
            let all = try await versions(Page())
            #expect(all.items.map(\.body) == ["one", "two", "three"] && all.items.map(\.revision) == [0, 1, 2])
            #expect(all.items.map(\.createdAt) == [TestBackend.time, moments[0], moments[1]])
            #expect(all.items.map(\.replacedAt) == moments)
            let first = try await versions(Page(limit: 2))
            #expect(first.items.map(\.body) == ["one", "two"] && first.hasNext && !first.hasPrevious)
            let rest = try await versions(Page(limit: 2, after: 1))
            #expect(rest.items.map(\.body) == ["three"] && !rest.hasNext && rest.hasPrevious)
            #expect(try await versions(Page(order: .desc)).items.map(\.body) == ["three", "two", "one"])
            #expect(try await versions(Page(), since: 1).items.map(\.body) == ["two", "three"])
            // Where nothing is kept, an edit keeps nothing either; what is older goes by and by, the oldest first.
            try await test.revise([(chat, 1, .metadata(#"{"a":1}"#))], rules: EditRules(historyDays: 0))
            #expect(try await versions(Page()).items.count == 3)
            func expire(_ days: Int, at now: Timestamp, limit: Int = 100) async throws -> Bool {
                try await test.backend.changes.expireVersions(by: EditRules(historyDays: days), at: now, limit: limit)
            }
            #expect(try await !expire(1, at: moments[2]))
            #expect(try await expire(0, at: moments[1], limit: 1))
            #expect(try await versions(Page()).items.map(\.body) == ["two", "three"])
            #expect(try await !expire(0, at: moments[1]))
            #expect(try await versions(Page()).items.map(\.body) == ["two", "three"])
        }
    }

    /// A key that was used before changes nothing, and says what the message is now.
    @Test(arguments: BackendKind.allCases)
    func aKeyIsGoodForOneChange(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["one"], to: chat)
            let keyed = try await test.change(chat, 1, .body("two"), key: "k")
            let first = try await test.backend.changes.revise([keyed], at: TestBackend.time)[0].get()
            #expect(first.isChanged && !first.isReplay && first.message.body == "two")
            try await test.revise([(chat, 1, .body("three"))])
            let again = try await test.backend.changes.revise([keyed], at: TestBackend.time)[0].get()
            #expect(!again.isChanged && again.isReplay && again.message.body == "three")
            let other = try await test.change(chat, 1, .body("four"), key: "k")
            #expect(try await test.backend.changes.revise([other], at: TestBackend.time) == [.failure(.keyReused)])
            // The key of a create is another request's.
            let create = try test.new("two", in: chat, key: "k")
            #expect(try await test.backend.chatLog.append([create], at: TestBackend.time)[0] == .failure(.keyReused))
            #expect(try await test.list(chat).items.map(\.body) == ["three"])
        }
    }

    /// What `luciq verify` says of rows that do not fit together.
    @Test(arguments: BackendKind.allCases)
    func wrongRowsAreFound(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["a", "b", "c"], to: chat)
            try await test.revise([(chat, 1, .body("A")), (chat, 2, .delete), (chat, 3, .body("C"))])
            try await test.revise([(chat, 1, .react("x", "u1")), (chat, 1, .react("y", "u1"))])
            #expect(try await test.verify().problems == [])
            for (wrong, right, told) in [
                ("chat_heads SET revision = 9", "chat_heads SET revision = 5", "head's revision is 9"),
                ("chat_heads SET deleted_count = 0", "chat_heads SET deleted_count = 1", "deleted_count is 0"),
                ("messages SET body = 'x' WHERE number = 2", "messages SET body = '' WHERE number = 2", "still have"),
                (
                    "messages SET content_revision = 7 WHERE number = 1",
                    "messages SET content_revision = 1 WHERE number = 1", "changed without a change"
                ),
                ("chat_changes SET item = 8 WHERE item = 3", "chat_changes SET item = 3 WHERE item = 8", "message 8"),
                (
                    "message_versions SET number = 2 WHERE number = 3",
                    "message_versions SET number = 3 WHERE number = 2", "Version 0 of message 2"
                ),
                (
                    "message_reactions SET number = 3 WHERE name = 'x'",
                    "message_reactions SET number = 1 WHERE name = 'x'", "says 2 reactions, but has rows of 1"
                ),
                (
                    "messages SET reactions_revision = 7 WHERE number = 1",
                    "messages SET reactions_revision = 5 WHERE number = 1", "changed without a change"
                ),
                ("message_reactions SET number = 3", "message_reactions SET number = 1", "have reactions of nobody"),
            ] {
                try await test.update(wrong)
                let problems = try await test.verify().problems
                #expect(problems.contains { $0.contains(told) }, "\(wrong): \(problems)")
                try await test.update(right)
            }
            #expect(try await test.verify().problems == [])
        }
    }

    /// Everybody edits at the same time: each change has a revision of its own, and the order is that of the commits.
    @Test(arguments: BackendKind.allCases)
    func concurrentChangesTakeAllRevisions(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let chats = try await [1, 2].asyncMap { number -> ChatScope in
                if number > 1 { _ = try await application.scope.createChat() }
                return try await application.scope.chat("\(number)")
            }
            for chat in chats { for _ in 0..<4 { _ = try await chat.send(MessageContent(body: "x")) } }
            var taken: [Chat.ID: [Int64]] = [:]
            try await withThrowingTaskGroup(of: [Chat.ID: [Int64]].self) { tasks in
                for worker in 0..<8 {
                    tasks.addTask {
                        var own: [Chat.ID: [Int64]] = [:]
                        for step in 0..<25 {
                            let chat = chats[(worker + step) % 2]
                            let changed = try await chat.submit(
                                chat.editing(
                                    "\(1 + step % 4)", MessagePatch(body: "\(worker) \(step)")))
                            own[chat.id, default: []].append(changed.message.revision)
                        }
                        return own
                    }
                }
                for try await own in tasks { taken.merge(own) { $0 + $1 } }
            }
            for chat in chats {
                #expect(taken[chat.id, default: []].sorted() == Array(1...100))
                let items = try await server.test.backend.changes.changes(
                    in: chat.id, after: 0, upTo: .max, limit: 100)
                #expect(items.count == 4 && items.last?.revision == 100)
            }
            #expect(try await server.test.verify().problems == [])
        }
    }

    /// Once a user's removal is answered, no edit of that user commits.
    @Test(arguments: BackendKind.allCases)
    func aRemovedUserEditsNothing(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let users = try await SignedUsers(server)
            let owner = try await users.application.scope.chat("1")
            let user = User.ID("u1")!
            _ = try await owner.update(Chat.Patch(access: .members))
            _ = try await owner.setMember(user, role: .member)
            // It was let in before: what is checked from now on, the edits check themselves.
            let chat = try await users.access(users.token("u1")).tenant.chat("1")
            let number = try await chat.send(MessageContent(body: "mine", sender: user)).number.rawValue
            let progress = Progress()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for worker in 0..<4 {
                    tasks.addTask {
                        while true {
                            let wasAnswered = progress.isAnswered.withLock(\.self)
                            do {
                                let step = progress.count.withLock { count in
                                    count += 1
                                    return count
                                }
                                _ = try await chat.submit(
                                    chat.editing("\(number)", MessagePatch(body: "\(worker) \(step)")))
                                if wasAnswered { progress.late.withLock { $0 += 1 } }
                            } catch {
                                let isRefusal = [.notFound, .insufficientRole].contains(error as? ChatError)
                                #expect(isRefusal, "\(error)")
                                return
                            }
                        }
                    }
                }
                try await eventually("it is busy") { progress.count.withLock { $0 > 30 } }
                try await owner.removeMember(user)
                let last = try await owner.message("\(number)").revision
                progress.isAnswered.withLock { $0 = true }
                try await tasks.waitForAll()
                #expect(progress.late.withLock(\.self) == 0)
                #expect(try await owner.message("\(number)").revision == last)
            }
        }
    }

    /// Every place where a message's content may be, before its deletion and after it.
    @Test(arguments: BackendKind.allCases)
    func aDeletionReachesAllRemains(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let chat = try await application.scope.chat("1")
            // A slow reader keeps what follows in memory.
            let subscription = try await chat.subscribe()
            var content = MessageContent(body: "the first secret")
            content.metadata = #"{"kept":"secret"}"#
            content.mentions = try Mentions(naming: ["a secret"])
            let number = try await chat.send(content).number
            let path: Substring = "\(number.rawValue)"
            _ = try await chat.submit(chat.editing(path, MessagePatch(body: "the last secret")))
            _ = try await chat.submit(chat.reacting(to: path, with: "a secret", as: User.ID("u1")!))
            _ = try await chat.pin(path, as: User.ID("u1")!)
            var limits = SearchIndexLimits()
            limits.smallest = 1
            try await SearchBlockTests.indexer(server.test, limits).walk()
            let before = try await server.remains(of: number, in: chat)
            // The embedded store has no jobs, and neither has an engine here: its feed has a test of its own.
            #expect(before == [.body, .metadata, .mentions, .versions, .reactions, .pin, .searchBlocks])
            #expect(try await chat.submit(chat.deleting(path)).isChanged)
            #expect(try await server.remains(of: number, in: chat) == [])
            let message = try await chat.message(path)
            #expect(message.body == "" && message.content.metadata == nil && message.deletion?.by == nil)
            #expect(try await subscription.next().messages.map(\.body) == [""])
            let stored = try await server.test.everythingStored()
            #expect(!stored.contains { $0.contains(" secret") || $0.contains("kept") })
            #expect(stored.contains("x"))
            // Final; once more is no change.
            #expect(try await chat.submit(chat.deleting(path)).message == message)
            await #expect(throws: ChatError.messageDeleted) {
                try await chat.submit(chat.editing(path, MessagePatch(body: "back")))
            }
            #expect(try await server.test.verify().problems == [])
        }
    }
}

extension AccessServer {
    /// Where the word "secret" of a message is. The list is `MessageRemains`; a new case needs a look here.
    fileprivate func remains(of number: Message.Number, in chat: ChatScope) async throws -> Set<MessageRemains> {
        var found: Set<MessageRemains> = []
        for remains in MessageRemains.allCases {
            let isThere =
                switch remains {
                case .body: try await chat.message("\(number.rawValue)").body.contains("secret")
                case .metadata: try await chat.message("\(number.rawValue)").content.metadata != nil
                case .mentions:
                    try await chat.message("\(number.rawValue)").content.mentions?.users.isEmpty == false
                case .versions: try await !chat.versions(of: "\(number.rawValue)", Page()).items.isEmpty
                case .reactions:
                    switch try await chat.message("\(number.rawValue)").reactions {
                    case nil: try await test.rows("message_reactions") > 0
                    case .some: true
                    }
                case .pin: try await test.rows("pins") > 0
                case .searchBlocks: try await test.blocks(of: chat.id).contains { $0.contains("secret") }
                // `EngineEditTests`.
                case .engine: false
                // What a reader gets is looked at in the test.
                case .liveWindow: false
                case .jobs: try await test.jobs().contains { $0.contains("secret") }
                }
            if isThere { found.insert(remains) }
        }
        return found
    }
}

/// How far a removed user's edits are.
private final class Progress: Sendable {
    let isAnswered = Mutex(false)
    /// Edits that began after the answer, and were stored.
    let late = Mutex(0)
    let count = Mutex(0)
}

extension Result<ChangedMessage, ChatError> {
    var revision: Int64? { try? get().message.revision }
}

extension Array {
    fileprivate func asyncMap<T>(_ transform: (Element) async throws -> T) async rethrows -> [T] {
        var mapped: [T] = []
        for element in self { mapped.append(try await transform(element)) }
        return mapped
    }
}
