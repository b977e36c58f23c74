import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Pins, and the revisions of members and settings, on both backends.
@Suite(.timeLimit(.minutes(4))) struct PinTests {
    @Test(arguments: BackendKind.allCases)
    func aChatHasAHundredPins(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let changes = test.backend.changes
            let (chat, other) = (try await test.makeChat(), try await test.makeChat())
            try await test.send((1...102).map { "\($0)" }, to: chat)
            try await test.send(["a"], to: other)
            let results = try await test.revise([
                (chat, 2, .pin), (chat, 2, .pin), (chat, 1, .pin), (other, 1, .unpin), (chat, 3, .unpin),
                (chat, 2, .unpin), (chat, 2, .pin), (chat, 103, .pin),
            ])
            let isChanged = results.prefix(7).map { try? $0.get().isChanged }
            #expect(isChanged == [true, false, true, false, false, true, true])
            #expect(results[7] == .failure(.notFound))
            #expect(try await changes.pins(of: chat).map(\.number.rawValue) == [1, 2])
            #expect(try await changes.pins(of: chat).map(\.at) == [TestBackend.time, TestBackend.time])
            let items = try await changes.changes(in: chat, after: 0, upTo: 99, limit: 10)
            #expect(items.map(\.kind) == [.pin, .pin] && items.map(\.number) == [1, 2])
            #expect(items.map(\.revision) == [2, 4])
            // Pins change no message.
            #expect(try await test.list(chat).items.allSatisfy { $0.lastRevision == 0 })
            let more = try await test.revise((3...102).map { (chat, Int64($0), .pin) })
            #expect(more.count { (try? $0.get().isChanged) == true } == 98)
            #expect(more.suffix(2).allSatisfy { $0 == .failure(.tooManyPins) })
            #expect(try await changes.pins(of: chat).count == 100)
            // A deletion unpins, and makes room.
            let last = try await test.revise([(chat, 5, .delete), (chat, 5, .pin), (chat, 102, .pin)])
            #expect(last[1] == .failure(.messageDeleted))
            try await test.revise([(chat, 102, .pin)])
            #expect(try await changes.pins(of: chat).map(\.number.rawValue) == [1, 2, 3, 4] + Array(6...100) + [102])
            #expect(try await test.verify().problems == [])
        }
    }

    /// Many pin at the same time, in a cluster as from other processes: there is never one too many.
    @Test(arguments: BackendKind.allCases)
    func nobodyPinsOneTooMany(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send((1...110).map { "\($0)" }, to: chat)
            try await test.revise((1...95).map { (chat, Int64($0), .pin) })
            let refused = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for number in 96...110 {
                    tasks.addTask { try await test.revise([(chat, Int64(number), .pin)])[0] == .failure(.tooManyPins) }
                }
                return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(refused == 10)
            #expect(try await test.backend.changes.pins(of: chat).count == 100)
            #expect(try await test.verify().problems == [])
        }
    }

    @Test(arguments: BackendKind.allCases)
    func whoMayPin(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for (user, role) in [("ann", "member"), ("reader", "reader")] { try await scene.set(user, role) }
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            #expect(try await ann.get("/chats/1/pins").text == "[]")
            let pinned = try await ann.send("PUT", "/chats/1/pins/1")
            #expect(pinned.status == 200 && pinned.json["pinned_by"] as? String == "ann", "\(pinned.text)")
            #expect(pinned.json["number"] as? Int == 1 && pinned.json["pinned_at"] is String)
            #expect(try await admin.send("PUT", "/chats/1/pins/1").text == pinned.text)
            #expect(try await scene.caller("reader").get("/chats/1/pins").text == "[\(pinned.text)]")
            #expect(try await scene.caller("reader").send("DELETE", "/chats/1/pins/1").code == "insufficient_role")
            #expect(try await scene.caller("stranger").get("/chats/1/pins").code == "not_found")
            #expect(try await ann.send("PUT", "/chats/1/pins/1?user=reader").code == "insufficient_role")
            #expect(try await admin.send("PUT", "/chats/1/pins/9").status == 404)
            #expect(try await ann.send("DELETE", "/chats/1/pins/1").text == #"{"number":1}"#)
            #expect(try await ann.send("DELETE", "/chats/1/pins/1").text == #"{"number":1}"#)
            let named = try await admin.send("PUT", "/chats/1/pins/1?user=ann")
            #expect(named.json["pinned_by"] as? String == "ann")
            #expect(try await admin.send("DELETE", "/chats/1/messages/1").status == 200)
            #expect(try await ann.get("/chats/1/pins").text == "[]")
            #expect(try await admin.send("PUT", "/chats/1/pins/1").code == "message_deleted")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func membersAndSettingsTakeRevisions(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let chat = try await application.scope.chat("1")
            let changes = server.test.backend.changes
            func head() async throws -> Int64 { try await changes.revisions(of: [chat.id])[chat.id] ?? 0 }
            #expect(try await head() == 0)
            let (one, two) = (User.ID("u1")!, User.ID("u2")!)
            _ = try await chat.setMember(one, role: .member)
            _ = try await chat.setMember(one, role: .member)
            _ = try await chat.setMember(two, role: .reader)
            _ = try await chat.setMember(one, role: .admin)
            #expect(try await head() == 3)
            try await chat.removeMember(one)
            try await chat.removeMember(one)
            #expect(try await head() == 4)
            for patch in [
                Chat.Patch(name: "a"), Chat.Patch(name: "a"), Chat.Patch(metadata: #"{"a":1}"#),
                Chat.Patch(receipts: .members), Chat.Patch(access: .members), Chat.Patch(history: .sinceJoin),
                Chat.Patch(access: .members),
            ] {
                _ = try await chat.update(patch)
            }
            #expect(try await head() == 9)
            let items = try await changes.changes(in: chat.id, after: 0, upTo: 99, limit: 10)
            #expect(items.map(\.kind) == [.member, .member, .chat] && items.map(\.user) == [two, one, nil])
            #expect(items.map(\.revision) == [2, 4, 9] && items.allSatisfy { $0.number == 0 })
            #expect(try await server.test.verify().problems == [])
        }
    }

    /// Members, settings, edits and reactions of two chats at the same time: each change has a revision of its own.
    @Test(arguments: BackendKind.allCases)
    func changesOfAllKindsTakeRevisionsInTurn(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            _ = try await application.scope.createChat()
            let chats = [try await application.scope.chat("1"), try await application.scope.chat("2")]
            for chat in chats { _ = try await chat.send(MessageContent(body: "x")) }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for worker in 0..<6 {
                    tasks.addTask {
                        for step in 0..<20 {
                            let chat = chats[(worker + step) % 2]
                            switch worker {
                            case 0, 1:
                                _ = try await chat.setMember(
                                    User.ID("m\(worker)")!, role: step % 4 < 2 ? .member : .reader)
                            case 2: _ = try await chat.update(Chat.Patch(name: "name \(step)"))
                            case 3: _ = try await chat.submit(chat.editing("1", MessagePatch(body: "body \(step)")))
                            default:
                                _ = try await chat.submit(
                                    chat.reacting(
                                        to: "1", with: "x", as: User.ID("r\(worker)")!, isTakenBack: step % 4 >= 2))
                            }
                        }
                    }
                }
                try await tasks.waitForAll()
            }
            for chat in chats {
                let head = try await server.test.backend.changes.revisions(of: [chat.id])[chat.id]
                // Each of them changed something each time, ten times for each chat.
                #expect(head == 60)
                let items = try await server.test.backend.changes.changes(
                    in: chat.id, after: 0, upTo: .max, limit: 100)
                #expect(items.count == 4 && items.last?.revision == head)
            }
            #expect(try await server.test.verify().problems == [])
        }
    }
}
