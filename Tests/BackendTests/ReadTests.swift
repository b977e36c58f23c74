import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// How far users have read, and what they have not, over HTTP on both backends.
@Suite(.timeLimit(.minutes(4))) struct ReadTests {
    typealias Caller = MembersTests.Caller

    @Test(arguments: BackendKind.allCases)
    func aNumberOnlyRises(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            for text in ["2", "3", "4", "5"] { #expect(try await bob.say(text).status == 201) }
            #expect(try await ann.read() == [0, 5])
            let first = try await ann.mark(3)
            #expect(
                first.status == 200 && first.text == #"{"number":3,"unread":2,"mentions":0,"more":false,"as_of":"5.2"}"#
            )
            // A device that comes late.
            #expect(try await ann.mark(2).text == first.text)
            // Beyond the head is the head.
            #expect(
                try await ann.mark(Int64.max).text
                    == #"{"number":5,"unread":0,"mentions":0,"more":false,"as_of":"5.2"}"#)
            #expect(try await ann.read() == [5, 0])
            // Another user's is its own; own messages never count, and sending moves nothing.
            #expect(try await bob.read() == [0, 1])
            #expect(try await ann.say("mine").status == 201)
            #expect(try await ann.read() == [5, 0])
            #expect(try await bob.read() == [0, 2])
        }
    }

    @Test(arguments: BackendKind.allCases)
    func unreadIsSaidSo(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            try await scene.set("ann", "member")
            let ann = scene.caller("ann")
            for text in ["2", "3"] { #expect(try await scene.admin.say(text).status == 201) }
            #expect(try await ann.mark(3).status == 200)
            let lowered = try await ann.mark(json: #"{"number":1,"lower":true,"if":3}"#)
            #expect(lowered.status == 200 && lowered.json["number"] as? Int == 1, "\(lowered.text)")
            #expect(lowered.json["unread"] as? Int == 2)
            // A retry of it, whose answer was lost.
            #expect(try await ann.mark(json: #"{"number":1,"lower":true,"if":3}"#).text == lowered.text)
            #expect(try await ann.mark(2).json["number"] as? Int == 2)
            let late = try await ann.mark(json: #"{"number":1,"lower":true,"if":3}"#)
            #expect(late.status == 409 && late.code == "read_number_changed" && late.json["number"] as? Int == 2)
            #expect(try await ann.read() == [2, 1])
            for (json, status, error) in [
                ("{}", 400, nil), (#"{"number":"x"}"#, 422, "Number must be a number from 0 to 9223372036854775807"),
                (#"{"number":-1}"#, 422, "Number must be a number from 0 to 9223372036854775807"),
                (#"{"number":1,"lower":true}"#, 422, "Lower and if go together: if is the number that is stored now"),
                (#"{"number":1,"if":2}"#, 422, "Lower and if go together: if is the number that is stored now"),
                (#"{"number":3,"lower":true,"if":2}"#, 422, "Number must not be above if"),
                (#"{"number":1,"lower":"maybe"}"#, 422, "Lower must be true or false"),
            ] as [(String, Int, String?)] {
                let answer = try await ann.mark(json: json)
                #expect(answer.status == status && answer.errors?.first == error, "\(json): \(answer.text)")
            }
        }
    }

    /// An application says it for its users; a user for itself alone.
    @Test(arguments: BackendKind.allCases)
    func keysNameTheUser(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            #expect(try await admin.mark(1, as: "ann").json["number"] as? Int == 1)
            #expect(try await ann.read() == [1, 0])
            #expect(try await ann.mark(1, as: "ann").status == 200)
            #expect(try await ann.mark(1, as: "bob").code == "insufficient_role")
            #expect(try await ann.get("/chats/1/read?user=bob").code == "insufficient_role")
            #expect(
                try await admin.get("/chats/1/read").errors == ["User must be given: for whom the application does it"])
            #expect(
                try await admin.get("/chats/1/read?user=me").errors == [
                    "User must be the id of a user: 1 to 128 bytes without control characters, and not me, . or .."
                ])
            // The chat is not there for a stranger.
            #expect(try await admin.mark(1, as: "eve").status == 404)
            #expect(try await admin.get("/chats/1/read?user=bob").json["number"] as? Int == 0)
        }
    }

    /// Threads, deletions, and what is there for whom.
    @Test(arguments: BackendKind.allCases)
    func whatCountsAndForWhom(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            for (number, json) in [
                (2, #"{"body":"a"}"#), (3, #"{"body":"b","thread":1}"#),
                (4, #"{"body":"c","thread":1,"in_main":true}"#),
                (5, #"{"body":"d"}"#),
            ] {
                let made = try await bob.send("POST", "/chats/1/messages", json: json)
                #expect(made.json["message_number"] as? Int == number, "\(made.text)")
            }
            #expect(try await ann.read() == [0, 4])
            #expect(try await bob.send("DELETE", "/chats/1/messages/2").status == 200)
            #expect(try await ann.read() == [0, 3])
            let state = try await ann.get("/chats/1/read")
            #expect(state.json["as_of"] as? String == "5.3", "\(state.text)")
            // An edit changes nothing of it; a new member of a chat without history counts from then on.
            #expect(try await bob.send("PATCH", "/chats/1/messages/5", json: #"{"body":"e"}"#).status == 200)
            #expect(try await ann.get("/chats/1/read").json["as_of"] as? String == "5.4")
            #expect(try await ann.read() == [0, 3])
            #expect(try await admin.send("PATCH", "/chats/1", json: #"{"history":"since_join"}"#).status == 200)
            try await scene.set("new", "member")
            let new = scene.caller("new")
            #expect(try await new.read() == [0, 0])
            #expect(try await bob.say("f").status == 201)
            #expect(try await new.read() == [0, 1])
            // Who was removed keeps its numbers.
            #expect(try await admin.send("DELETE", "/chats/1/members/new").status == 200)
            #expect(try await bob.say("g").status == 201)
            #expect(try await new.read() == [0, 1])
            #expect(try await new.mark(100).text == #"{"number":6,"unread":0,"mentions":0,"more":false,"as_of":"6.7"}"#)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func receiptsAreForSmallChats(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            let ann = scene.caller("ann")
            #expect(try await ann.mark(1).status == 200)
            let off = try await ann.get("/chats/1/reads")
            #expect(off.status == 403 && off.code == "receipts_off")
            #expect(try await admin.send("PATCH", "/chats/1", json: #"{"receipts":"members"}"#).status == 200)
            try await scene.set("eve", "banned")
            #expect(
                try await ann.get("/chats/1/reads").text == #"[{"user":"ann","number":1},{"user":"bob","number":0}]"#)
            #expect(try await admin.get("/chats/1/reads").list.count == 2)
            for count in 0..<98 { try await scene.set("u\(count)", "reader") }
            let many = try await ann.get("/chats/1/reads")
            #expect(many.status == 409 && many.code == "too_many_readers", "\(many.text)")
        }
    }

    /// Transactions on connections of their own, as those of two processes are: one never drags the other back.
    @Test func transactionsBesideEachOtherAgree() async throws {
        try await TestBackend.run(.cluster) { test in
            let chat = try await test.makeChat()
            let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: test.tenant, token: test.token)
            _ = try await test.send((1...50).map { "\($0)" }, to: chat)
            let reads = test.backend.reads
            let user = User.ID("ann")!
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in (1...50).shuffled() {
                    group.addTask {
                        let mark = ReadMark(chat: place, user: user, number: Int64(number))
                        let stored = try await reads.mark([mark], within: .seconds(30))[0].get()
                        #expect(stored.number >= number)
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await reads.readNumbers(of: user, in: [chat])[chat] == 50)
            // Of two that lower it from the same number, at most one does.
            let results = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in [10, 20] as [Int64] {
                    group.addTask {
                        let mark = ReadMark(chat: place, user: user, number: number, lowersFrom: 50)
                        return if case .success = try await reads.mark([mark], within: .seconds(30))[0] { true } else {
                            false
                        }
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(results == 1)
            let gone = ReadMark(
                chat: ChatPlace(id: Chat.ID(77), number: Chat.Number(77), tenant: test.tenant), user: user, number: 1)
            #expect(try await reads.mark([gone], within: .seconds(30)) == [.failure(.notFound)])
            #expect(try await test.verify().problems == [])
        }
    }

    /// A number that is missing may come late: the count ends below it, and goes on when it is void.
    @Test func aGapIsNotPassed() async throws {
        try await TestBackend.run(.cluster) { test in
            let chat = try await test.makeChat()
            _ = try await test.send(["1", "2"], to: chat)
            // Old enough to be given up at once.
            try await test.insert(4, in: chat)
            let tails = ChatTails(backend: test.backend, clock: .system)
            let head = try #require(try await test.backend.reads.chatHeads(of: [chat])[chat])
            #expect(head == ChatHead(number: 4, revision: 0))
            let early = ChatTails(
                backend: test.backend, clock: WallClock { Timestamp(rfc3339: "2025-01-01T00:00:00Z")! })
            #expect(try await early.tail(of: chat, at: head, after: 0).high == 2)
            let tail = try await tails.tail(of: chat, at: head, after: 0)
            let user = User.ID("ann")!
            #expect(tail.high == 4 && tail.unread(of: user, after: 0, in: .all) == Unread(count: 3, hasMore: false))
        }
    }

    /// Random creates, replies, deletions and marks: the count is what a walk over the messages gives.
    @Test(arguments: BackendKind.allCases, [1, 2, 3] as [UInt64])
    func aCountIsWhatAWalkFinds(_ kind: BackendKind, _ seed: UInt64) async throws {
        try await TestBackend.run(kind) { test in
            var random = SeededRandom(seed: seed)
            let chat = try await test.makeChat()
            let place = ChatPlace(id: chat, number: Chat.Number(1), tenant: test.tenant, token: test.token)
            let users = ["ann", "bob", "eve"].map { User.ID($0)! }
            // One that asks at times, and one that never did.
            let known = ChatTails(backend: test.backend, clock: .system)
            var marks: [User.ID: Int64] = [:]
            var highest: Int64 = 0
            var roots: [Int64] = []
            for _ in 0..<12 {
                var batch: [NewMessage] = []
                for _ in 0..<Int.random(in: 1...30, using: &random) {
                    let sender = ([nil] + users).randomElement(using: &random)!
                    let thread = Bool.random(using: &random) ? roots.randomElement(using: &random) : nil
                    if thread == nil { roots.append(highest + Int64(batch.count) + 1) }
                    let named = users.filter { _ in Int.random(in: 0..<4, using: &random) == 0 }
                    let content = MessageContent(
                        body: "x", sender: sender, thread: thread.map { Message.Number($0) },
                        isInMain: Bool.random(using: &random),
                        mentions: named.isEmpty ? nil : try Mentions(naming: named.map(\.text)))
                    batch.append(NewMessage(tenant: test.tenant, chat: chat, content: content))
                    if batch.count == 30 { break }
                }
                for result in try await test.backend.chatLog.append(batch, at: TestBackend.time) {
                    highest = try result.get().number.rawValue
                }
                let deleted = Set((0..<3).map { _ in Int64.random(in: 1...highest, using: &random) })
                for result in try await test.revise(deleted.map { (chat, $0, .delete) }) { _ = try result.get() }
                for _ in 0..<4 {
                    let named = users.filter { _ in Bool.random(using: &random) }.map(\.text)
                    try await test.revise([(chat, Int64.random(in: 1...highest, using: &random), .mentions(named))])
                }
                let reader = users.randomElement(using: &random)!
                let mark = ReadMark(chat: place, user: reader, number: Int64.random(in: 0...highest, using: &random))
                marks[reader] = try await test.backend.reads.mark([mark], within: .seconds(30))[0].get().number
                let messages = try await test.list(chat, Page(limit: 1000)).items
                let head = try #require(try await test.backend.reads.chatHeads(of: [chat])[chat])
                for user in users {
                    let read = marks[user] ?? 0
                    let numbers = NumberSpan(
                        first: Int64.random(in: 1...highest, using: &random),
                        last: Bool.random(using: &random) ? .max : highest)
                    let unread = messages.filter { message in
                        message.number.rawValue > read && numbers.contains(message.number.rawValue)
                            && message.deletion == nil && message.content.sender != user
                            && (message.content.thread == nil || message.content.isInMain)
                    }
                    for tails in [known, ChatTails(backend: test.backend, clock: .system)] {
                        let tail = try await tails.tail(of: chat, at: head, after: max(read, numbers.first - 1))
                        #expect(
                            tail.unread(of: user, after: read, in: numbers)
                                == Unread(
                                    count: unread.count,
                                    mentions: unread.count { $0.content.mentions?.users.contains(user) == true },
                                    hasMore: false))
                        #expect(tail.cursor == Cursor(highest, revision: head.revision))
                    }
                }
            }
            #expect(try await test.verify().problems == [])
        }
    }
}

/// A tail as a value.
@Suite struct ChatTailTests {
    private static func rows(_ numbers: ClosedRange<Int64>, counts: Bool = true) -> [TailRow] {
        numbers.map { TailRow(number: $0, sender: nil, counts: counts) }
    }

    @Test func itReachesAWindowBack() {
        var tail = ChatTail(from: 0, revision: 0)
        let user = User.ID("ann")!
        tail.append(Self.rows(1...1000))
        #expect(tail.unread(of: user, after: 0, in: .all) == Unread(count: 1000, hasMore: false))
        tail.append(Self.rows(1001...1001))
        #expect(tail.unread(of: user, after: 0, in: .all) == Unread(count: 1000, hasMore: true))
        #expect(tail.unread(of: user, after: 1, in: .all) == Unread(count: 1000, hasMore: false))
        tail.append(Self.rows(1002...5000, counts: false))
        #expect(tail.high == 5000 && tail.low == 904)
        // What lies further back is not looked at.
        #expect(tail.unread(of: user, after: 904, in: .all) == Unread(count: 97, hasMore: false))
        #expect(tail.unread(of: user, after: 903, in: .all) == Unread(count: 97, hasMore: true))
        #expect(tail.unread(of: user, after: 5000, in: .all) == .none)
        #expect(tail.newest(in: .all) == 1001)
        #expect(tail.newest(in: NumberSpan(first: 1002)) == nil)
    }

    /// Mentions leave with their messages, and count as far as these do.
    @Test func itKnowsWhomItMentions() throws {
        let (ann, bob) = (User.ID("ann")!, User.ID("bob")!)
        let both = try Mentions(naming: ["ann", "bob"])
        func row(_ number: Int64, _ mentions: Mentions?, by sender: User.ID? = nil, counts: Bool = true) -> TailRow {
            TailRow(number: number, sender: sender, counts: counts, mentions: mentions)
        }
        var tail = ChatTail(from: 10, revision: 0)
        let cost = tail.cost
        tail.append([row(11, both), row(12, both, by: ann), row(13, both, counts: false), row(14, nil)])
        tail.prepend([row(10, both)], after: 5)
        func mentions(_ user: User.ID, after read: Int64 = 0, in numbers: NumberSpan = .all) -> Int {
            tail.unread(of: user, after: read, in: numbers).mentions
        }
        #expect(mentions(ann) == 2 && mentions(bob) == 3 && mentions(User.ID("eve")!) == 0)
        #expect(mentions(ann, after: 10) == 1 && mentions(bob, in: NumberSpan(first: 1, last: 10)) == 1)
        tail.update([row(11, .nobody), row(14, try Mentions(naming: ["ann"])), row(10, both, counts: false)])
        #expect(mentions(ann) == 1 && mentions(bob) == 1)
        tail.append((15...5000).map { row($0, both) })
        #expect(mentions(ann) == Unread.most && mentions(ann, after: 4990) == 10)
        let full = tail.cost
        tail.append((5001...9800).map { row($0, nil) })
        #expect(mentions(ann, after: 4990) == 0 && tail.cost < full && tail.cost < cost + 6000)
    }

    @Test func itStopsAtAGap() {
        var tail = ChatTail(from: 5, revision: 3)
        tail.append(Self.rows(6...7) + Self.rows(9...10))
        #expect(tail.high == 7)
        tail.prepend(Self.rows(2...2) + Self.rows(4...5), after: 1)
        let user = User.ID("ann")!
        #expect(tail.low == 1 && tail.unread(of: user, after: 1, in: .all).count == 5)
        tail.update([TailRow(number: 4, sender: nil, counts: false), TailRow(number: 9, sender: nil, counts: false)])
        #expect(tail.unread(of: user, after: 1, in: .all).count == 4)
        #expect(!tail.mayChange(4) && !tail.mayChange(3) && tail.mayChange(5) && !tail.mayChange(9))
    }
}

extension MembersTests.Caller {
    /// The number up to which the user has read, and how many it has not.
    func read() async throws -> [Int?] {
        let answer = try await get("/chats/1/read")
        #expect(answer.json["more"] as? Bool == false, "\(answer.text)")
        return [answer.json["number"] as? Int, answer.json["unread"] as? Int]
    }

    func mark(_ number: Int64, as user: String? = nil) async throws -> Answer {
        try await mark(json: "{\"number\":\(number)}", as: user)
    }

    func mark(json: String, as user: String? = nil) async throws -> Answer {
        try await send("PUT", "/chats/1/read" + (user.map { "?user=\($0)" } ?? ""), json: json)
    }
}
