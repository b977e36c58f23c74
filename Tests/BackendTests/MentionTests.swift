import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Whom messages mention, over HTTP on both backends.
@Suite(.timeLimit(.minutes(4))) struct MentionTests {
    typealias Caller = MembersTests.Caller

    private static func say(_ caller: Caller, _ mentions: String, more: String = "") async throws -> Answer {
        try await caller.send("POST", "/chats/1/messages", json: "{\"body\":\"hi\",\"mentions\":\(mentions)\(more)}")
    }

    @Test(arguments: BackendKind.allCases)
    func aMessageNamesUsers(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            let start = try #require(try await admin.get("/chats/1/messages")["Luciq-Cursor"])
            let live = try await admin.stream("/chats/1/stream?after=\(start)")
            let told = #""mentions":["u2","Zoë","u1"]"#
            // Each once, in its order; in JSON's own spelling.
            let made = try await Self.say(admin, #"["u2","Zo\u00eb","u1","u2"]"#)
            #expect(made.status == 201 && made.text.contains(told), "\(made.text)")
            for plain in ["[]", "null"] {
                let made = try await Self.say(admin, plain)
                #expect(made.status == 201 && !made.text.contains("mentions"), "\(made.text)")
            }
            for path in ["messages/2", "messages", "changes?after=\(start)", "messages/search?q=hi"] {
                let answer = try await admin.get("/chats/1/\(path)")
                #expect(answer.text.components(separatedBy: "mentions").count == 2, "\(answer.text)")
                #expect(answer.text.contains(told), "\(answer.text)")
            }
            let events = try await live.all(until: "id: 2.0")
            #expect(events.last?.contains(told) == true, "\(events)")
            let socket = try await admin.socket()
            await socket.send(#"{"type":"send","chat":1,"body":"x","mentions":["u3","u3"],"ref":"a"}"#)
            #expect(try await socket.next()?.contains(#""message_number":5"#) == true)
            #expect(try await admin.get("/chats/1/messages/5").text.contains(#""mentions":["u3"]"#))
            await socket.send(#"{"type":"send","chat":1,"body":"x","mentions":["me"]}"#)
            #expect(try await socket.next()?.contains("Each of mentions must be the id of a user") == true)
            await socket.send(#"{"type":"send","chat":1,"body":"x","mentions":"u1"}"#)
            #expect(try await socket.next()?.contains("Mentions must be an array of strings") == true)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func whatIsRefused(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            func users(_ count: Int) -> String {
                "[" + (1...count).map { "\"u\($0)\"" }.joined(separator: ",") + "]"
            }
            let id = "must be the id of a user: 1 to 128 bytes without control characters, and not me, . or .."
            for (mentions, error) in [
                ("\"u1\"", "Mentions must be an array of users' ids"),
                ("{}", "Mentions must be an array of users' ids"),
                ("[1]", "Mentions must be an array of users' ids"),
                ("[null]", "Mentions must be an array of users' ids"),
                ("[\"\"]", "Each of mentions \(id)"), ("[\"u1\",\"me\"]", "Each of mentions \(id)"),
                (users(51), "Mentions must be at most 50 users"),
            ] {
                for answer in [
                    try await Self.say(scene.admin, mentions),
                    try await scene.admin.send("PATCH", "/chats/1/messages/1", json: "{\"mentions\":\(mentions)}"),
                ] {
                    #expect(answer.status == 422 && answer.errors == [error], "\(mentions): \(answer.text)")
                }
            }
            let form = try await scene.admin.client.send(
                "POST", scene.admin.path + "/chats/1/messages",
                headers: scene.admin.headers.merging(["Content-Type": "application/x-www-form-urlencoded"]) { $1 },
                body: Array("body=hi&mentions[]=u1".utf8))
            #expect(form.status == 422 && form.errors == ["Mentions must be an array of users' ids"])
            let most = try await Self.say(scene.admin, users(50))
            #expect(most.status == 201 && (most.json["mentions"] as? [String])?.count == 50, "\(most.text)")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func anEditReplacesThem(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for (user, role) in [("ann", "member"), ("ada", "admin")] { try await scene.set(user, role) }
            let (ann, ada) = (scene.caller("ann"), scene.caller("ada"))
            #expect(try await Self.say(ann, #"["u1"]"#).json["message_number"] as? Int == 2)
            func edit(_ json: String, by caller: Caller) async throws -> Answer {
                try await caller.send("PATCH", "/chats/1/messages/2", json: json)
            }
            let start = try #require(try await ann.get("/chats/1/messages")["Luciq-Cursor"])
            // The same ones are no change.
            let same = try await edit(#"{"mentions":["u1","u1"]}"#, by: ann)
            #expect(same["ETag"] == #""2.0""# && same.json["rev"] == nil, "\(same.text)")
            let more = try await edit(#"{"mentions":["u2","u1"]}"#, by: ann)
            let told = #""mentions":["u2","u1"]"#
            #expect(more.status == 200 && more.text.contains(told) && more.json["body"] as? String == "hi")
            // Another order is a change; what is not said stays.
            #expect(try await edit(#"{"mentions":["u1","u2"]}"#, by: ann).json["rev"] as? Int == 4)
            #expect(try await edit(#"{"body":"new"}"#, by: ann).text.contains(#""mentions":["u1","u2"]"#))
            // They are what the sender says: who administers the chat changes metadata alone.
            #expect(try await edit(#"{"metadata":{"a":1}}"#, by: ada).status == 200)
            #expect(try await edit(#"{"mentions":[]}"#, by: ada).code == "insufficient_role")
            let none = try await edit(#"{"mentions":null}"#, by: ann)
            #expect(none.status == 200 && none.text.contains(#""mentions":[]"#), "\(none.text)")
            #expect(try await edit(#"{"mentions":[]}"#, by: ann)["ETag"] == none["ETag"])
            let changes = try await ann.get("/chats/1/changes?after=\(start)")
            #expect(
                changes.text.contains(#""body":"new","metadata":{"a":1},"mentions":[],"edited_at""#), "\(changes.text)")
            let versions = try await ada.get("/chats/1/messages/2/versions").list
            #expect(
                versions.map { $0["mentions"] as? [String] } == [
                    ["u1"], ["u2", "u1"], ["u1", "u2"], ["u1", "u2"], ["u1", "u2"],
                ],
                "\(versions)")
            // What never named anybody says nothing of it, edited or not.
            for json in [#"{"body":"x"}"#, #"{"mentions":[]}"#] {
                let answer = try await scene.admin.send("PATCH", "/chats/1/messages/1", json: json)
                #expect(answer.status == 200 && !answer.text.contains("mentions"), "\(answer.text)")
            }
        }
    }

    /// A key means the request with its mentions, and its replay has those of now.
    @Test(arguments: BackendKind.allCases)
    func keysCoverThem(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let path = scene.admin.path + "/chats/1/messages"
            func send(_ mentions: String) async throws -> Answer {
                try await scene.admin.client.send(
                    "POST", path, json: "{\"body\":\"hi\",\"mentions\":\(mentions)}",
                    headers: scene.admin.headers.merging(["Idempotency-Key": "k"]) { $1 })
            }
            #expect(try await send(#"["u1"]"#).status == 201)
            #expect(try await send(#"["u2"]"#).status == 422)
            #expect(try await send("[]").status == 422)
            let edited = try await scene.admin.send("PATCH", "/chats/1/messages/2", json: #"{"mentions":["u3"]}"#)
            #expect(edited.status == 200)
            let again = try await send(#"["u1"]"#)
            #expect(again.status == 201 && again.text.contains(#""mentions":["u3"]"#), "\(again.text)")
            #expect(again["Idempotent-Replayed"] == "true")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func unreadOnesAreCounted(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            func counts(_ caller: Caller, _ unread: Int, _ mentions: Int) async throws {
                let read = try await caller.get("/chats/1/read").json
                let inbox = try await caller.get("/users/me/chats?order=activity").list
                for answer in [read, inbox[0]] {
                    #expect(answer["unread"] as? Int == unread && answer["mentions"] as? Int == mentions, "\(answer)")
                }
            }
            #expect(try await Self.say(bob, #"["ann","bob"]"#).status == 201)
            #expect(try await Self.say(bob, #"["anna"]"#).status == 201)
            #expect(try await Self.say(bob, #"["ann"]"#, more: #","thread":1"#).status == 201)
            #expect(try await Self.say(bob, #"["ann"]"#, more: #","thread":1,"in_main":true"#).status == 201)
            try await counts(ann, 4, 2)
            // Own ones never count, and nobody else's.
            try await counts(bob, 1, 0)
            func edit(_ number: Int, _ json: String) async throws {
                #expect(try await bob.send("PATCH", "/chats/1/messages/\(number)", json: json).status == 200)
            }
            try await edit(3, #"{"mentions":["ann"]}"#)
            try await edit(2, #"{"mentions":["bob"]}"#)
            try await counts(ann, 4, 2)
            try await edit(5, #"{"body":"still"}"#)
            try await counts(ann, 4, 2)
            #expect(try await bob.send("DELETE", "/chats/1/messages/3").status == 200)
            try await counts(ann, 3, 1)
            #expect(try await ann.mark(5).text == #"{"number":5,"unread":0,"mentions":0,"more":false,"as_of":"5.6"}"#)
            try await counts(ann, 0, 0)
            let lower = try await ann.mark(json: #"{"number":4,"lower":true,"if":5}"#)
            #expect(lower.json["mentions"] as? Int == 1)
        }
    }
}
