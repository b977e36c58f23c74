import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Cursors that see changes, on both backends.
@Suite(.timeLimit(.minutes(4))) struct ChangesTests {
    /// Keeps messages as a client does: by number, and a part only if its revision is not lower than the one held.
    private struct Follower {
        var messages: [Int: [String]] = [:]
        var cursor: String
        private var revisions: [Int: Int] = [:]

        init(from cursor: String) { self.cursor = cursor }

        /// - Returns: whether there is another page.
        mutating func take(_ answer: Answer) throws -> Bool {
            for event in try #require(answer.json["events"] as? [[String: Any]]) {
                switch event["type"] as? String {
                case "message": keep(try #require(event["message"] as? [String: Any]))
                case "message.changed":
                    let change = try #require(event["change"] as? [String: Any])
                    let parts = try #require(change["parts"] as? [String: [String: Any]])
                    var content = try #require(parts["content"])
                    content["number"] = change["number"]
                    keep(content)
                default: Issue.record("\(event)")
                }
                cursor = try #require(event["cursor"] as? String)
            }
            let next = try #require(answer.json["cursor"] as? String)
            for (before, after) in zip(Self.parts(cursor), Self.parts(next)) { #expect(before <= after) }
            cursor = next
            return try #require(answer.json["more"] as? Bool)
        }

        private static func parts(_ cursor: String) -> [Int] { cursor.split(separator: ".").compactMap { Int($0) } }

        mutating func keep(_ message: [String: Any]) {
            guard let number = message["number"] as? Int else { return }
            let revision = message["rev"] as? Int ?? 0
            guard revision >= revisions[number, default: 0] else { return }
            revisions[number] = revision
            messages[number] = ["body", "metadata", "edited_at", "deleted_at"].map { name in
                let value = message[name]
                return value is NSNull || value == nil ? "" : "\(value!)"
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aReaderEndsWithWhatAFreshOneHas(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            var random = SeededRandom(seed: 40)
            let admin = scene.admin
            let start = try #require(try await admin.get("/chats/1/messages")["Luciq-Cursor"])
            #expect(start == "1.0")
            // One reads after each step, the others now and then, with pages of all sizes.
            var followers = (0..<4).map { _ in Follower(from: "0.0") }
            var count = 1
            for step in 0..<120 {
                let number = Int.random(in: 1...count, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4:
                    #expect(try await admin.say("new \(step)").status == 201)
                    count += 1
                case 4..<7:
                    _ = try await admin.send(
                        "PATCH", "/chats/1/messages/\(number)", json: "{\"body\":\"edit \(step)\"}")
                case 7..<9:
                    _ = try await admin.send(
                        "PATCH", "/chats/1/messages/\(number)", json: "{\"metadata\":{\"step\":\(step)}}")
                default: _ = try await admin.send("DELETE", "/chats/1/messages/\(number)")
                }
                for index in followers.indices where index == 0 || Int.random(in: 0..<12, using: &random) == 0 {
                    let limit = Int.random(in: 1...7, using: &random)
                    // Some stop in the middle, as one that loses its connection.
                    for _ in 0..<Int.random(in: 1...9, using: &random) {
                        let page = try await admin.get(
                            "/chats/1/changes?after=\(followers[index].cursor)&limit=\(limit)")
                        guard try followers[index].take(page) else { break }
                    }
                }
            }
            var fresh = Follower(from: "")
            let list = try await admin.get("/chats/1/messages?limit=1000")
            for item in list.list { fresh.keep(item) }
            #expect(fresh.messages.count == count)
            for index in followers.indices {
                while try followers[index].take(
                    try await admin.get("/chats/1/changes?after=\(followers[index].cursor)&limit=5"))
                {}
                #expect(followers[index].messages == fresh.messages)
                #expect(followers[index].cursor == list["Luciq-Cursor"])
            }
        }
    }

    /// Ten thousand changes of one thing are one event, and one below the reader's revision is none.
    @Test(arguments: BackendKind.allCases)
    func stepsAreLeftOut(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for step in 0..<50 {
                _ = try await scene.admin.send("PATCH", "/chats/1/messages/1", json: "{\"body\":\"\(step)\"}")
            }
            _ = try await scene.admin.say("two")
            func events(_ after: String) async throws -> [String] {
                let answer = try await scene.admin.get("/chats/1/changes?after=\(after)")
                return (answer.json["events"] as? [[String: Any]] ?? []).compactMap { event in
                    (event["type"] as? String).map { "\($0) \(event["cursor"] ?? "")" }
                }
            }
            #expect(try await events("1.0") == ["message.changed 1.50", "message 2.50"])
            #expect(try await events("1") == ["message.changed 1.50", "message 2.50"])
            #expect(try await events("1.50") == ["message 2.50"])
            #expect(try await events("2.50") == [])
            // Nobody gets the change of what it never had: the message comes as it is.
            #expect(try await events("0.0") == ["message 1.50", "message 2.50"])
        }
    }

    /// A message is told where its last change is. Whoever stops before that has missed an earlier change of another part,
    /// and its cursor says so.
    @Test(arguments: BackendKind.allCases)
    func aPartThatChangedBeforeTheCursorIsTold(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            _ = try await admin.say("two")
            #expect(try await admin.send("PUT", "/chats/1/messages/1/reactions/ok?user=u1").status == 200)
            for number in [2, 1] {
                let path = "/chats/1/messages/\(number)"
                #expect(try await admin.send("PATCH", path, json: #"{"body":"edited"}"#).status == 200)
            }
            func parts(after cursor: String, _ index: Int = 0) async throws -> [String: Int?] {
                let page = try await admin.get("/chats/1/changes?after=\(cursor)")
                #expect(page.json["cursor"] as? String == "2.3")
                let events = try #require(page.json["events"] as? [[String: Any]])
                let change = try #require(events[index]["change"] as? [String: Any])
                #expect(change["number"] as? Int == 1)
                return try #require(change["parts"] as? [String: [String: Any]]).mapValues { $0["rev"] as? Int }
            }
            let first = try await admin.get("/chats/1/changes?after=2.0&limit=1")
            #expect(first.json["cursor"] as? String == "2.2.0")
            #expect(try await parts(after: "2.2.0") == ["content": 3, "reactions": 1])
            // One that was told of the reaction has a whole cursor.
            #expect(try await parts(after: "2.2") == ["content": 3])
            #expect(try await parts(after: "2.0", 1) == ["content": 3, "reactions": 1])
            for bad in ["2.2.2", "2.2.3", "2.2.00", "2.2.", "2.2.1.0"] {
                #expect(try await admin.get("/chats/1/changes?after=\(bad)").status == 422, "\(bad)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aCursorOfAnotherStoreIsRefused(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            _ = try await scene.admin.send("PATCH", "/chats/1/messages/1", json: #"{"body":"y"}"#)
            for cursor in ["2.1", "1.2", "e1.1.1"] {
                let refused = try await scene.admin.get("/chats/1/changes?after=\(cursor)")
                #expect(refused.status == 409 && refused.code == "cursor_epoch", "\(cursor): \(refused.text)")
                #expect(refused.json["cursor"] as? String == "1.1")
            }
            for query in ["", "?after=", "?after=x", "?after=1.", "?after=-1.0"] {
                let refused = try await scene.admin.get("/chats/1/changes\(query)")
                #expect(refused.status == 422, "\(query): \(refused.text)")
                #expect(refused.errors == ["After must be a cursor, as Luciq-Cursor has it"])
            }
        }
    }

    /// A number that may still be stored is not passed, however long it is missing; only what makes it void does.
    @Test func aCursorPassesNoGap() async throws {
        try await MembersTests.run(.cluster) { scene in
            let chat = try await scene.users.application.scope.chat("1")
            try await scene.server.test.insert(3, in: chat.id)
            #expect(try await scene.admin.get("/chats/1/messages")["Luciq-Cursor"] == "1.0")
            let changes = try await scene.admin.get("/chats/1/changes?after=1.0")
            #expect(changes.json["cursor"] as? String == "3.0")
            #expect(try await scene.admin.get("/chats/1/messages")["Luciq-Cursor"] == "3.0")
        }
    }

    /// What is not there for a member does not change for it either.
    @Test(arguments: BackendKind.allCases)
    func aMemberSeesChangesOfWhatItSees(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"history":"since_join"}"#).status == 200)
            _ = try await scene.admin.say("before")
            try await scene.set("ann", "member")
            _ = try await scene.admin.say("after")
            for number in 1...3 {
                _ = try await scene.admin.send(
                    "PATCH", "/chats/1/messages/\(number)", json: "{\"body\":\"edited \(number)\"}")
            }
            let ann = scene.caller("ann")
            let all = try await ann.get("/chats/1/changes?after=0.0")
            #expect(!all.text.contains("edited 1") && !all.text.contains("edited 2") && all.text.contains("edited 3"))
            let changes = try await ann.get("/chats/1/changes?after=3.0")
            let events = changes.json["events"] as? [[String: Any]]
            #expect(events?.map { $0["type"] as? String } == ["chat.changed", "member.changed", "message.changed"])
            #expect(changes.json["cursor"] as? String == "3.5")
            _ = try await scene.admin.send("DELETE", "/chats/1/members/ann")
            _ = try await scene.admin.say("gone")
            // Nor who comes and goes, for one that has left.
            let left = try await ann.get("/chats/1/changes?after=3.5")
            #expect(left.json["cursor"] as? String == "3.6" && (left.json["events"] as? [Any])?.isEmpty == true)
            #expect(try await ann.get("/chats/1/messages")["Luciq-Cursor"] == "3.6")
        }
    }
}
