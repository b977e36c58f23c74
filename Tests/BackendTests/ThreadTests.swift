import Foundation
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Threads over HTTP, on both backends.
@Suite(.timeLimit(.minutes(4))) struct ThreadTests {
    @Test(arguments: BackendKind.allCases)
    func repliesTellTheirThread(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            func say(_ json: String) async throws -> Answer {
                try await admin.send("POST", "/chats/1/messages", json: json)
            }
            let plain = try await say(#"{"body":"2"}"#)
            #expect(plain.status == 201 && plain.json["root"] == nil && plain.json["in_main"] == nil)
            let first = try await say(#"{"body":"3","thread":1}"#)
            #expect(
                first.text.contains(#""thread":1,"root":{"number":1,"reply_count":1,"last_reply":3}"#), "\(first.text)")
            let second = try await say(#"{"body":"4","thread":1,"in_main":true}"#)
            #expect(
                second.text.contains(
                    #""thread":1,"in_main":true,"root":{"number":1,"reply_count":2,"last_reply":4}"#))
            // As of the answer, and not as it was.
            #expect(
                try await admin.get("/chats/1/messages/3").text.contains(
                    #""root":{"number":1,"reply_count":2,"last_reply":4}"#))
            #expect(try await say(#"{"body":"5","thread":2}"#).status == 201)
            let all = try await admin.get("/chats/1/messages").list
            #expect(
                all.map { ($0["root"] as? [String: Any])?["reply_count"] as? Int } == [nil, nil, 2, 2, 1], "\(all)")
            // The root takes no revision.
            #expect(try await admin.get("/chats/1/messages/1")["ETag"] == "\"1.0\"")
            // A deleted reply stays one.
            #expect(try await admin.send("DELETE", "/chats/1/messages/4").status == 200)
            let tombstone = try await admin.get("/chats/1/messages/4")
            #expect(tombstone.text.contains(#""root":{"number":1,"reply_count":2,"last_reply":4}"#))
            #expect(tombstone.json["in_main"] as? Bool == true)
            for (json, error) in [
                (#"{"body":"x","in_main":true}"#, "In_main is for messages in a thread"),
                (#"{"body":"x","thread":1,"in_main":"maybe"}"#, "In_main must be true or false"),
                (#"{"body":"x","thread":3}"#, "Thread must be the number of a message that is in no thread"),
            ] {
                let answer = try await say(json)
                #expect(answer.status == 422 && answer.errors == [error], "\(json): \(answer.text)")
            }
        }
    }

    /// Streams, sockets, pages of changes and answers to edits tell the thread of a reply; but not to a user to whom not all of
    /// the chat is there.
    @Test(arguments: BackendKind.allCases)
    func eventsTellTheThread(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            #expect(try await admin.send("PATCH", "/chats/1", json: #"{"history":"since_join"}"#).status == 200)
            try await scene.set("ann", "member")
            let reply = #"{"body":"x","thread":1}"#
            #expect(try await admin.send("POST", "/chats/1/messages", json: reply).status == 201)
            let start = try #require(try await admin.get("/chats/1/messages")["Luciq-Cursor"])
            let callers = [admin, scene.caller("ann")]
            var streams: [LiveClient] = []
            for caller in callers {
                streams.append(try await caller.stream("/chats/1/stream?after=\(start)"))
                streams.append(try await caller.stream("/chats/1/stream"))
                let socket = try await caller.socket()
                await socket.send("{\"type\":\"subscribe\",\"chat\":1,\"after\":\"\(start)\"}")
                streams.append(socket)
            }
            for stream in streams { _ = try await stream.next() }
            let root = #""root":{"number":1,"reply_count":2,"last_reply":3}"#
            #expect(try await admin.send("POST", "/chats/1/messages", json: reply).text.contains(root))
            let edited = try await admin.send("PATCH", "/chats/1/messages/2", json: #"{"body":"two"}"#)
            #expect(edited.status == 200 && edited.text.contains(root), "\(edited.text)")
            for _ in 1...2 {
                let deleted = try await admin.send("DELETE", "/chats/1/messages/3")
                #expect(deleted.status == 200 && deleted.text.contains(root), "\(deleted.text)")
            }
            #expect(try await admin.say("the end").status == 201)
            for (index, stream) in streams.enumerated() {
                let events = try await stream.all(until: "the end").dropLast()
                let told = events.count { $0.contains(root) }
                // The second one has messages alone.
                #expect(events.count == (index % 3 == 1 ? 1 : 3), "\(events)")
                #expect(told == (index < 3 ? events.count : 0), "\(events)")
                #expect(events.allSatisfy { index < 3 || !$0.contains("root") })
            }
            for (caller, told) in zip(callers, [2, 0]) {
                let changes = try await caller.get("/chats/1/changes?after=\(start)")
                #expect(changes.text.components(separatedBy: root).count == told + 1, "\(changes.text)")
                #expect(changes.text.components(separatedBy: #""root""#).count == told + 1)
                let old = try await caller.stream("/chats/1/stream?after=1.0")
                let events = try await old.all(until: "the end")
                #expect(events.count { $0.contains(root) } == told, "\(events)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aPageOfReplies(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            for number in 2...9 {
                let thread = number % 2 == 0 ? ",\"thread\":1" : ""
                let made = try await admin.send(
                    "POST", "/chats/1/messages", json: "{\"body\":\"\(number)\"\(thread)}")
                #expect(made.status == 201)
            }
            func numbers(_ query: String) async throws -> [Int?] {
                try await admin.get("/chats/1/messages?thread=1\(query)").list.map { $0["number"] as? Int }
            }
            #expect(try await numbers("") == [2, 4, 6, 8])
            #expect(try await numbers("&order=desc&limit=2") == [8, 6])
            #expect(try await numbers("&after=4") == [6, 8])
            #expect(try await numbers("&before=6") == [2, 4])
            let page = try await admin.get("/chats/1/messages?thread=1&limit=2&after=2")
            #expect(page.link("next")?.hasSuffix("?after=6&limit=2&thread=1") == true)
            #expect(page.link("prev")?.hasSuffix("?before=4&limit=2&thread=1") == true)
            #expect(page["Luciq-Cursor"] == "9.0")
            #expect(try await admin.get("/chats/1/messages?thread=3").text == "[]")
            for (query, error) in [
                ("thread=x", "Thread must be a number from 1 to 9223372036854775807"),
                ("thread=1&around=2", "Around cannot be combined with thread"),
            ] {
                let answer = try await admin.get("/chats/1/messages?\(query)")
                #expect(answer.status == 422 && answer.errors == [error])
            }
            // Who does not see all of the chat sees its own replies, and no counts.
            #expect(try await admin.send("PATCH", "/chats/1", json: #"{"history":"since_join"}"#).status == 200)
            try await scene.set("ann", "member")
            let late = try await admin.send("POST", "/chats/1/messages", json: #"{"body":"x","thread":1}"#)
            #expect(late.json["message_number"] as? Int == 10)
            let seen = try await scene.caller("ann").get("/chats/1/messages?thread=1").list
            #expect(seen.map { $0["number"] as? Int } == [10] && seen.allSatisfy { $0["root"] == nil })
        }
    }

    /// Who stores a reply knows its thread: neither the answer nor any reader asks the store for it.
    @Test(arguments: BackendKind.allCases)
    func repliesArePublishedWithTheirThread(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            _ = try await test.send(["1"], to: chat)
            let heard = Mutex<[Message]>([])
            test.backend.bus.listen { event in
                if case .committed(chat, let messages) = event { heard.withLock { $0 += messages } }
            }
            _ = await test.backend.bus.subscribe(to: chat)
            let reply = NewMessage(
                tenant: test.tenant, chat: chat, content: MessageContent(body: "x", thread: Message.Number(1)))
            let plain = NewMessage(tenant: test.tenant, chat: chat, body: "x")
            let stored = try await test.backend.chatLog.append([reply, plain, reply], at: TestBackend.time)
            let root = ThreadSummary(root: Message.Number(1), replyCount: 2, lastReply: Message.Number(4))
            #expect(try stored.map { try $0.get().root } == [root, nil, root])
            // The first message may come back from the bus only now.
            #expect(heard.withLock { $0.filter { $0.number.rawValue > 1 }.prefix(3).map(\.root) } == [root, nil, root])
            let changed = try await test.revise([(chat, 2, .body("y")), (chat, 4, .delete), (chat, 3, .delete)])
            #expect(try changed.map { try $0.get().message.root } == [root, root, nil])
            let published = heard.withLock { $0.filter { $0.revision > 0 } }.prefix(3)
            #expect(published.map(\.root) == [root, nil, root], "\(published)")
        }
    }

    /// A create that is answered again counts once, and the verifier finds heads that are wrong.
    @Test(arguments: BackendKind.allCases)
    func countsAreKept(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            _ = try await test.send(["1"], to: chat)
            let content = MessageContent(body: "x", thread: Message.Number(1))
            let key = try IdempotencyKey("k", content: content.fingerprinted)
            let new = NewMessage(tenant: test.tenant, chat: chat, content: content, key: key)
            for _ in 0..<3 { _ = try await test.backend.chatLog.append([new], at: TestBackend.time)[0].get() }
            let other = NewMessage(tenant: test.tenant, chat: chat, content: content)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for result in try await test.backend.chatLog.append([other, other], at: TestBackend.time) {
                            _ = try result.get()
                        }
                    }
                }
                try await group.waitForAll()
            }
            let root = Message.Number(1)
            let thread = try await test.backend.threads.threads([root], in: chat)[root]
            #expect(thread?.replyCount == 17 && thread?.lastReply.rawValue == 18)
            #expect(try await test.backend.threads.replies(to: root, in: chat, page: Page()).numbers == Array(2...18))
            #expect(try await test.verify().problems == [])
            try await test.update("thread_heads SET reply_count = 16")
            try await test.update("thread_replies SET thread = 2 WHERE number = 18")
            #expect(try await test.verify().problems.count == 2)
        }
    }
}
