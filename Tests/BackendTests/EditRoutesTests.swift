import ChatCore
import Foundation
import Synchronization
import TestSupport
import Testing

/// Edits and deletions over HTTP, on both backends.
@Suite(.timeLimit(.minutes(4))) struct EditRoutesTests {
    @Test(arguments: BackendKind.allCases)
    func anEditAnswersTheWholeMessage(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            let made = try await admin.send(
                "POST", "/chats/1/messages",
                json: #"{"body":"hi","metadata":{"color": "red", "n":{"a":1}},"reply_to":1}"#)
            #expect(made.status == 201 && made.json["message_number"] as? Int == 2, "\(made.text)")
            #expect(made.text.contains(#""reply_to":1,"metadata":{"color":"red","n":{"a":1}}}"#), "\(made.text)")
            let shown = try await admin.get("/chats/1/messages/2")
            #expect(shown["ETag"] == "\"2.0\"" && shown.text == made.text)

            let edited = try await admin.send(
                "PATCH", "/chats/1/messages/2", json: #"{"body":"hello","metadata":{"color":null,"n":{"b":2}}}"#)
            #expect(edited.status == 200 && edited["ETag"] == "\"2.1\"")
            #expect(
                edited.text.contains(#""body":"hello","#)
                    && edited.text.contains(#""metadata":{"n":{"a":1,"b":2}},"rev":1"#))
            #expect(edited.json["edited_at"] is String && edited.json["deleted_at"] == nil)
            #expect(try await admin.get("/chats/1/messages/2").text == edited.text)
            #expect(try await admin.get("/chats/1/messages").list[1]["rev"] as? Int == 1)

            // The same content takes no revision, whatever was expected.
            let same = try await admin.send("PATCH", "/chats/1/messages/2", json: #"{"message":{"body":"hello"}}"#)
            #expect(same.status == 200 && same.text == edited.text)
            let stale = admin.with("If-Match", "\"2.0\"")
            #expect(
                try await stale.send("PATCH", "/chats/1/messages/2", json: #"{"body":"hello"}"#).text == edited.text)
            for tag in ["\"2.0\"", "\"1.1\"", "W/\"2.1\"", "2.1", "\"2.1", "x"] {
                let refused = try await admin.with("If-Match", tag).send(
                    "PATCH", "/chats/1/messages/2", json: #"{"body":"no"}"#)
                #expect(refused.status == 412 && refused.code == "precondition_failed", "\(tag): \(refused.text)")
                #expect(refused["ETag"] == "\"2.1\"")
                #expect((refused.json["current"] as? [String: Any])?["body"] as? String == "hello")
                #expect(try await admin.with("If-Match", tag).send("DELETE", "/chats/1/messages/2").status == 412)
            }
            for (tag, revision) in [("\"2.0\", \"2.1\"", 2), ("*", 3)] {
                let changed = try await admin.with("If-Match", tag).send(
                    "PATCH", "/chats/1/messages/2", json: "{\"body\":\"now \(revision)\"}")
                #expect(changed.status == 200 && changed["ETag"] == "\"2.\(revision)\"", "\(tag): \(changed.text)")
            }
            let none = try await admin.send("PATCH", "/chats/1/messages/2", json: #"{"metadata":null}"#)
            #expect(none.status == 200 && none.text.contains(#""metadata":null,"rev":4"#))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aDeletedMessageIsATombstone(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let admin = scene.admin
            let key = admin.with("Idempotency-Key", "k")
            let path = "/chats/1/messages"
            let create = { try await key.send("POST", path, json: #"{"body":"hi","sender":"ann"}"#) }
            #expect(try await create().status == 201)
            #expect(try await admin.send("PATCH", path + "/2", json: #"{"body":"hello"}"#).status == 200)
            // A retry of the create is answered with the message as it is now.
            let retried = try await create()
            #expect(retried.status == 201 && retried["Idempotent-Replayed"] == "true")
            #expect(retried.json["body"] as? String == "hello" && retried.json["rev"] as? Int == 1)
            #expect(try await admin.get("/chats/1/message_count").json["deleted_count"] == nil)

            let deleted = try await admin.send("DELETE", path + "/2")
            #expect(deleted.status == 200 && deleted["ETag"] == "\"2.2\"")
            #expect(deleted.json["body"] as? String == "" && deleted.json["sender"] as? String == "ann")
            #expect(deleted.json["deleted_at"] is String && deleted.json["deleted_by"] is NSNull)
            #expect(try await admin.send("DELETE", path + "/2").text == deleted.text)
            #expect(try await admin.get(path + "/2").text == deleted.text)
            #expect(try await create().text == deleted.text)
            let item = try await admin.get(path).list[1]
            #expect(item["body"] as? String == "" && item["deleted_at"] is String)
            let count = try await admin.get("/chats/1/message_count")
            #expect(count.json["messages_count"] as? Int == 2 && count.json["deleted_count"] as? Int == 1)
            let refused = try await admin.send("PATCH", path + "/2", json: #"{"body":"back"}"#)
            #expect(refused.status == 409 && refused.code == "message_deleted")
            #expect(try await admin.get(path + "/2/versions").text == "[]")
            #expect(try await admin.get(path + "/search?q=hello").text == "[]")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aRetriedEditIsDoneOnce(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let key = scene.admin.with("Idempotency-Key", "k")
            let path = "/chats/1/messages/1"
            let first = try await key.send("PATCH", path, json: #"{"body":"one"}"#)
            #expect(first.status == 200 && first["Idempotent-Replayed"] == nil)
            #expect(try await scene.admin.send("PATCH", path, json: #"{"body":"two"}"#).status == 200)
            let again = try await key.send("PATCH", path, json: #"{"body":"one"}"#)
            #expect(again.status == 200 && again["Idempotent-Replayed"] == "true")
            #expect(again.json["body"] as? String == "two")
            for (method, json) in [("PATCH", #"{"body":"three"}"#), ("DELETE", nil)] {
                let reused = try await key.send(method, path, json: json)
                #expect(reused.status == 422 && reused.code == "idempotency_key_reused")
            }
        }
    }

    /// Who may change what, and for how long.
    @Test(arguments: BackendKind.allCases)
    func aSenderEditsForADay(_ kind: BackendKind) async throws {
        let time = Mutex(WallClock.system.now())
        let clock = WallClock { time.withLock(\.self) }
        try await AccessServer.run(kind, clock: clock) { server in
            let scene = try await MembersTests.Scene(server)
            for (user, role) in [("ann", "member"), ("bob", "member"), ("boss", "admin")] {
                try await scene.set(user, role)
            }
            // Their tokens are as long as the test's clock goes.
            let day = Duration.seconds(86_400)
            func caller(_ user: String) -> MembersTests.Caller {
                MembersTests.Caller(
                    client: server.client, path: scene.admin.path,
                    headers: ["Authorization": "Bearer \(scene.users.token(user, at: clock.now()))"])
            }
            let path = "/chats/1/messages/2"
            #expect(try await caller("ann").say("mine").status == 201)
            let body = #"{"body":"edited"}"#
            let metadata = #"{"metadata":{"a":1}}"#
            #expect(try await caller("ann").send("PATCH", path, json: body).status == 200)
            #expect(try await caller("bob").send("PATCH", path, json: body).code == "insufficient_role")
            #expect(try await caller("bob").send("PATCH", path, json: metadata).code == "insufficient_role")
            #expect(try await caller("bob").send("DELETE", path).code == "insufficient_role")
            #expect(try await caller("bob").get(path + "/versions").code == "insufficient_role")
            #expect(
                try await caller("boss").send("PATCH", path, json: #"{"body":"theirs"}"#).code == "insufficient_role")
            #expect(try await caller("boss").send("PATCH", path, json: metadata).status == 200)
            #expect(
                try await caller("boss").get(path + "/versions").list.map { $0["body"] as? String } == [
                    "mine", "edited",
                ])
            time.withLock { $0 = $0.adding(day + .seconds(1)) }
            let late = try await caller("ann").send("PATCH", path, json: #"{"body":"late"}"#)
            #expect(late.status == 403 && late.code == "edit_window_closed", "\(late.text)")
            #expect(try await caller("ann").send("DELETE", path).code == "edit_window_closed")
            // A retry of what was done in time is no change.
            #expect(try await caller("ann").send("PATCH", path, json: body).status == 200)
            #expect(try await caller("boss").send("PATCH", path, json: #"{"metadata":{"a":2}}"#).status == 200)
            #expect(try await scene.admin.send("PATCH", path, json: #"{"body":"the application"}"#).status == 200)
            let deleted = try await caller("boss").send("DELETE", path)
            #expect(deleted.status == 200 && deleted.json["deleted_by"] as? String == "boss")
            #expect(try await caller("ann").send("DELETE", path).status == 200)
            // What a month ago was replaced is not told any more.
            let other = "/chats/1/messages/1"
            #expect(try await scene.admin.send("PATCH", other, json: body).status == 200)
            #expect(try await scene.admin.get(other + "/versions").list.count == 1)
            time.withLock { $0 = $0.adding(day * 31) }
            #expect(try await scene.admin.get(other + "/versions").text == "[]")
        }
    }

    @Test(arguments: BackendKind.allCases)
    func whatIsNoEdit(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let path = "/chats/1/messages/1"
            for (json, status, error) in [
                ("{}", 400, nil), (#"{"text":"x"}"#, 400, nil), (#"{"body":" "}"#, 422, "Body can't be blank"),
                (#"{"body":null}"#, 422, "Body can't be blank"),
                (#"{"metadata":[]}"#, 422, "Metadata must be a JSON object"),
                (#"{"metadata":"x"}"#, 422, "Metadata must be a JSON object"),
                (
                    "{\"metadata\":{\"a\":\"\(String(repeating: "x", count: 8192))\"}}", 422,
                    "Metadata is too long (maximum is 8192 bytes)"
                ),
            ] as [(String, Int, String?)] {
                let answer = try await scene.admin.send("PATCH", path, json: json)
                #expect(answer.status == status && answer.errors?.first == error, "\(json): \(answer.text)")
            }
            // Two halves are too long together.
            for name in ["a", "b"] {
                let half = "{\"metadata\":{\"\(name)\":\"\(String(repeating: "x", count: 5000))\"}}"
                #expect(try await scene.admin.send("PATCH", path, json: half).status == (name == "a" ? 200 : 422))
            }
            for (json, error) in [
                (#"{"body":"x","thread":9}"#, "Thread must be the number of a message that is in no thread"),
                (#"{"body":"x","thread":"y"}"#, "Thread must be the number of a message"),
                (#"{"body":"x","reply_to":9}"#, "Reply_to must be the number of a message"),
                (#"{"body":"x","metadata":1}"#, "Metadata must be a JSON object"),
            ] {
                let answer = try await scene.admin.send("POST", "/chats/1/messages", json: json)
                #expect(answer.status == 422 && answer.errors == [error], "\(json): \(answer.text)")
            }
            let root = try await scene.admin.send("POST", "/chats/1/messages", json: #"{"body":"x","thread":1}"#)
            #expect(root.status == 201 && root.json["thread"] as? Int == 1)
            // Threads are flat.
            #expect(
                try await scene.admin.send("POST", "/chats/1/messages", json: #"{"body":"x","thread":2}"#).status == 422
            )
        }
    }
}

extension MembersTests.Caller {
    /// The same with another header.
    func with(_ name: String, _ value: String) -> MembersTests.Caller {
        MembersTests.Caller(client: client, path: path, headers: headers.merging([name: value]) { $1 })
    }
}
