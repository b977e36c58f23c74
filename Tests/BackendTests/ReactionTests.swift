import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Reactions in the stores: their summary, their rows, and revisions.
@Suite(.timeLimit(.minutes(4))) struct ReactionTests {
    @Test(arguments: BackendKind.allCases)
    func aSummaryIsInTheOrderOfFirstUse(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["a", "b"], to: chat)
            // One transaction: a repeat takes no revision, and a name is the same with and without U+FE0F.
            let results = try await test.revise([
                (chat, 1, .react("\u{2764}\u{FE0F}", "u1")), (chat, 1, .react("+1", "u2")),
                (chat, 1, .react("\u{2764}", "u1")), (chat, 1, .react("\u{2764}", "u3")),
                (chat, 2, .unreact("+1", "u1")), (chat, 9, .react("+1", "u1")),
            ])
            #expect(results.prefix(5).map { try? $0.get().isChanged } == [true, true, false, true, false])
            #expect(results[5] == .failure(.notFound))
            #expect(try await test.backend.changes.revisions(of: [chat]) == [chat: 3])
            // All outcomes have the message as it is then.
            #expect(results.prefix(4).allSatisfy { (try? $0.get().message.reactionsRevision) == 3 })
            let items = try await test.backend.changes.changes(in: chat, after: 0, upTo: 99, limit: 10)
            #expect(items.map(\.number) == [1] && items.map(\.revision) == [3])
            let listed = try await test.list(chat).items
            let heart = #"{"name":"\#u{2764}\#u{FE0F}","count":2,"users":["u1","u3"],"clipped":false}"#
            let plus = #"{"name":"+1","count":1,"users":["u2"],"clipped":false}"#
            #expect(listed[0].reactions == "[\(heart),\(plus)]")
            #expect(listed[0].revision == 0 && listed[0].lastRevision == 3)
            #expect(listed[1].reactions == nil && listed[1].reactionsRevision == 0)
            // One that ends and begins again is the last one; without any the revision tells so.
            try await test.revise([
                (chat, 1, .unreact("\u{2764}", "u1")), (chat, 1, .unreact("\u{2764}", "u3")),
                (chat, 1, .react("\u{2764}", "u3")),
            ])
            let again = #"{"name":"\#u{2764}","count":1,"users":["u3"],"clipped":false}"#
            #expect(try await test.list(chat).items[0].reactions == "[\(plus),\(again)]")
            try await test.revise([(chat, 1, .unreact("\u{2764}", "u3")), (chat, 1, .unreact("+1", "u2"))])
            let none = try await test.list(chat).items[0]
            #expect(none.reactions == nil && none.reactionsRevision == 8)
            #expect(try await test.rows("message_reactions") == 0)
            #expect(try await test.verify().problems == [])
        }
    }

    /// The first ten are shown, and stay the first ten when some of them take it back.
    @Test(arguments: BackendKind.allCases)
    func tenUsersOfANameAreShown(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["a"], to: chat)
            try await test.revise((1...13).map { (chat, 1, .react("x", "u\($0)")) })
            func entry() async throws -> ReactionSummary.Entry {
                let summary = ReactionSummary(json: try await test.list(chat).items[0].reactions)
                #expect(summary.entries.count == 1)
                return summary.entries[0]
            }
            func users(_ numbers: [Int]) -> [String] { numbers.map { "u\($0)" } }
            #expect(try await entry().users.map(\.text) == users(Array(1...10)))
            let first = try await entry()
            #expect(first.count == 13 && first.isClipped)
            // Who comes in the same transaction does not stand for one that is not shown yet.
            try await test.revise([
                (chat, 1, .unreact("x", "u2")), (chat, 1, .react("x", "u14")), (chat, 1, .unreact("x", "u11")),
            ])
            #expect(try await entry().users.map(\.text) == users([1] + Array(3...10) + [12]))
            try await test.revise((3...6).map { (chat, 1, .unreact("x", "u\($0)")) })
            #expect(try await entry().users.map(\.text) == users([1] + Array(7...10) + [12, 13, 14]))
            let last = try await entry()
            #expect(last.count == 8 && !last.isClipped)
            let changes = test.backend.changes
            let page = try await changes.users(
                reacting: Reaction.Name("x")!, to: Message.Number(1), in: chat, page: Page(limit: 3))
            #expect(page.items.map(\.user.text) == ["u1", "u7", "u8"] && page.hasNext && !page.hasPrevious)
            let rest = try await changes.users(
                reacting: Reaction.Name("x")!, to: Message.Number(1), in: chat,
                page: Page(limit: 9, after: page.items[2].revision))
            #expect(rest.items.map(\.user.text) == users([9, 10, 12, 13, 14]) && !rest.hasNext && rest.hasPrevious)
            #expect(try await test.verify().problems == [])
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aMessageHasFiftyNamesAndAUserTwenty(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["a", "b"], to: chat)
            let own = try await test.revise((1...21).map { (chat, 1, .react("n\($0)", "u1")) })
            #expect(own.prefix(20).allSatisfy { (try? $0.get().isChanged) == true })
            #expect(own[20] == .failure(.tooManyReactions))
            #expect(try await test.revise([(chat, 1, .react("n1", "u1"))])[0].get().isChanged == false)
            #expect(try await test.revise([(chat, 2, .react("n21", "u1"))])[0].get().isChanged)
            let more = try await test.revise((21...51).map { (chat, 1, .react("n\($0)", "v\($0 % 3)")) })
            #expect(more.prefix(30).allSatisfy { (try? $0.get().isChanged) == true })
            #expect(more[30] == .failure(.tooManyReactions))
            #expect(try await test.revise([(chat, 1, .react("n50", "w"))])[0].get().isChanged)
            try await test.revise([(chat, 1, .unreact("n1", "u1"))])
            #expect(try await test.revise([(chat, 1, .react("n51", "w"))])[0].get().isChanged)
            #expect(try await test.revise([(chat, 1, .react("n52", "w"))])[0] == .failure(.tooManyReactions))
            #expect(try await test.verify().problems == [])
        }
    }

    /// Changes of a message's content among those of its reactions, in one transaction.
    @Test(arguments: BackendKind.allCases)
    func editsAndReactionsOfOneBatch(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["a", "b"], to: chat)
            let mixed = try await test.revise([
                (chat, 1, .react("x", "u1")), (chat, 1, .body("A")), (chat, 1, .react("y", "u1")),
                (chat, 2, .react("x", "u1")), (chat, 2, .body("B")),
            ])
            // An edit's answer has the reactions that were there, or come with it.
            let shown = try mixed[1].get().message
            #expect(shown.revision == 2 && shown.reactions?.contains(#""name":"x""#) == true)
            let other = try mixed[4].get().message.reactions
            #expect(try other != nil && other == mixed[3].get().message.reactions)
            var listed = try await test.list(chat).items
            #expect(listed.map(\.body) == ["A", "B"] && listed.map(\.revision) == [2, 5])
            #expect(listed.map(\.reactionsRevision) == [3, 4])
            #expect(ReactionSummary(json: listed[0].reactions).entries.map(\.name.text) == ["x", "y"])
            #expect(ReactionSummary(json: listed[1].reactions).entries.map(\.name.text) == ["x"])
            let results = try await test.revise([
                (chat, 1, .react("z", "u2")), (chat, 1, .delete), (chat, 1, .react("z", "u3")),
                (chat, 1, .unreact("x", "u1")), (chat, 2, .delete),
            ])
            #expect(results[2] == .failure(.messageDeleted) && results[3] == .failure(.messageDeleted))
            listed = try await test.list(chat).items
            #expect(listed.map(\.reactions) == [nil, nil] && listed.map(\.reactionsRevision) == [7, 8])
            #expect(try await test.rows("message_reactions") == 0)
            #expect(try await test.verify().problems == [])
        }
    }

    /// Two processes, in a cluster, change the reactions to one message: the counts are those of the rows.
    @Test(arguments: BackendKind.allCases)
    func countsDoNotDrift(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let chat = try await application.scope.chat("1")
            _ = try await chat.send(MessageContent(body: "hot"))
            // In a cluster these are as those of another process.
            let store = server.test.backend.changes
            let place = chat.place
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for worker in 0..<6 {
                    tasks.addTask {
                        var random = SeededRandom(seed: UInt64(worker))
                        for _ in 0..<40 {
                            let name = ["a", "b", "c"].randomElement(using: &random)!
                            let user = "u\(Int.random(in: 0..<14, using: &random))"
                            let isTakenBack = Bool.random(using: &random)
                            if worker % 2 == 1 {
                                let reaction = Reaction(
                                    Reaction.Name(name)!, by: User.ID(user)!, isTakenBack: isTakenBack)
                                let change = MessageChange(
                                    chat: place, number: Message.Number(1), action: .react(reaction))
                                _ = try await store.revise([change], at: WallClock.system.now())[0].get()
                            } else {
                                _ = try await chat.submit(
                                    chat.reacting(
                                        to: "1", with: name, as: User.ID(user)!, isTakenBack: isTakenBack))
                            }
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            let message = try await chat.message("1")
            let entries = ReactionSummary(json: message.reactions).entries
            var total = 0
            for entry in entries {
                let users = try await chat.users(reacting: entry.name.text, to: "1", Page()).items.map(\.user)
                #expect(users.count == Int(entry.count) && Array(users.prefix(10)) == entry.users)
                total += users.count
            }
            #expect(try await server.test.rows("message_reactions") == total)
            let head = try await server.test.backend.changes.revisions(of: [chat.id])[chat.id]
            #expect(head == message.reactionsRevision)
            #expect(try await server.test.verify().problems == [])
        }
    }
}
