import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Who is online, over HTTP on both backends.
@Suite(.timeLimit(.minutes(4))) struct LivePresenceTests {
    private func run(
        _ kind: BackendKind, _ body: @escaping @Sendable (MembersTests.Scene) async throws -> Void
    ) async throws {
        try await MembersTests.run(kind) { scene in
            for user in ["ann", "bob"] { try await scene.set(user, "member") }
            try await Self.set("users", scene)
            try await body(scene)
        }
    }

    private static func set(_ presence: String, _ scene: MembersTests.Scene) async throws {
        let changed = try await scene.admin.send("PATCH", "", json: "{\"presence\":\"\(presence)\"}")
        #expect(changed.status == 200 && changed.json["presence"] as? String == presence, "\(changed.text)")
    }

    private static func becomes(_ state: String, _ user: String, for caller: MembersTests.Caller) async throws {
        try await eventually("\(user) is \(state)") {
            try await caller.get("/presence?users=\(user)").text == "[{\"user\":\"\(user)\",\"state\":\"\(state)\"}]"
        }
    }

    /// A setting of the application, off by default.
    @Test(arguments: BackendKind.allCases)
    func itIsASetting(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { scene in
            let (admin, ann) = (scene.admin, scene.caller("ann"))
            #expect(try await admin.get("").json["presence"] as? String == "off")
            let off = try await ann.get("/presence?users=bob")
            #expect(off.status == 403 && off.code == "presence_off", "\(off.text)")
            try await Self.set("users", scene)
            #expect(try await admin.get("").json["presence"] as? String == "users")
            _ = try await admin.send("PATCH", "", json: #"{"receipts":"members"}"#)
            #expect(try await admin.get("").json["presence"] as? String == "users")
            #expect(try await ann.get("/presence?users=bob").text == #"[{"user":"bob","state":"offline"}]"#)
            for json in [#"{"presence":"all"}"#, #"{"presence":null}"#, #"{"presence":1}"#] {
                let refused = try await admin.send("PATCH", "", json: json)
                #expect(refused.status == 422 && refused.errors == ["Presence must be off or users"], "\(refused.text)")
            }
            #expect(try await ann.send("PATCH", "", json: #"{"presence":"off"}"#).status == 403)
            let targets = try await admin.get("/audit").list.compactMap { $0["target"] as? String }
            #expect(targets.contains("presence=users"))
            try await Self.set("off", scene)
            #expect(try await ann.get("/presence?users=bob").status == 403)
        }
    }

    /// Each live connection counts, and nothing else does.
    @Test(arguments: BackendKind.allCases)
    func connectionsCount(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob, admin) = (scene.caller("ann"), scene.caller("bob"), scene.admin)
            #expect(try await ann.say("hi").status == 201)
            #expect(try await admin.get("/presence?users=ann").text.contains("offline"))
            let socket = try await ann.socket()
            try await Self.becomes("online", "ann", for: bob)
            let stream = try await bob.stream("/chats/1/stream")
            #expect(stream.status == 200)
            try await Self.becomes("online", "bob", for: admin)
            // A key is nobody.
            _ = try await admin.socket()
            let all = try await admin.get("/presence?users=bob,eve,ann,bob")
            let wanted = [("bob", "online"), ("eve", "offline"), ("ann", "online")]
            let items = wanted.map { "{\"user\":\"\($0.0)\",\"state\":\"\($0.1)\"}" }
            #expect(all.text == "[\(items.joined(separator: ","))]")
            // Of another application of the server everybody is somebody else.
            let other = try await SignedUsers(scene.server)
            let path = "/applications/\(other.application.new.publicID.text)"
            let key = MembersTests.Caller(client: admin.client, path: path, headers: admin.headers)
            _ = try await key.send("PATCH", "", json: #"{"presence":"users"}"#)
            #expect(try await key.get("/presence?users=ann").text == #"[{"user":"ann","state":"offline"}]"#)
            #expect(try await admin.send("POST", "/users/ann/block").status == 200)
            try await Self.becomes("offline", "ann", for: bob)
            #expect(try await socket.next() != nil)
        }
    }

    /// How each one is, and then what becomes of them.
    @Test(arguments: BackendKind.allCases)
    func watchersAreTold(_ kind: BackendKind) async throws {
        try await run(kind) { scene in
            let (ann, bob, admin) = (scene.caller("ann"), scene.caller("bob"), scene.admin)
            let stream = try await bob.stream("/chats/1/stream?presence=ann,eve")
            #expect(try await stream.next()?.contains("event: cursor") == true)
            for user in ["ann", "eve"] {
                #expect(
                    try await stream.next() == "event: presence\ndata: {\"user\":\"\(user)\",\"state\":\"offline\"}")
            }
            let watcher = try await admin.socket()
            await watcher.send(#"{"type":"presence","users":["ann"]}"#)
            #expect(try await watcher.next() == #"{"type":"presence","user":"ann","state":"offline"}"#)
            let socket = try await ann.socket()
            #expect(try await stream.next() == "event: presence\ndata: {\"user\":\"ann\",\"state\":\"online\"}")
            #expect(try await watcher.next() == #"{"type":"presence","user":"ann","state":"online"}"#)
            // Another list, instead.
            await watcher.send(#"{"type":"presence","users":["eve","ann"]}"#)
            for (user, state) in [("eve", "offline"), ("ann", "online")] {
                let frame = "{\"type\":\"presence\",\"user\":\"\(user)\",\"state\":\"\(state)\"}"
                #expect(try await watcher.next() == frame)
            }
            // Nothing of it holds up messages, nor moves a cursor.
            #expect(try await ann.say("hi").status == 201)
            #expect(try await stream.next()?.hasSuffix("\nid: 2") == true)
            try await Self.set("off", scene)
            await watcher.send(#"{"type":"presence","users":["ann"],"ref":"1"}"#)
            #expect(try await watcher.next()?.contains(#""ref":"1","code":"presence_off""#) == true)
            #expect(socket.status == 101)
        }
    }

    @Test func badLists() async throws {
        try await run(.sqlite) { scene in
            let bob = scene.caller("bob")
            let many = (0...100).map { "u\($0)" }.joined(separator: ",")
            let id = "must be the id of a user: 1 to 128 bytes without control characters, and not me, . or .."
            for (path, name) in [("/presence?users=", "users"), ("/chats/1/stream?presence=", "presence")] {
                for (list, error) in [
                    (many, "\(name.capitalized) must be at most 100 users"), ("ann,", "Each of \(name) \(id)"),
                    ("me", "Each of \(name) \(id)"), ("%FF", "Each of \(name) \(id)"),
                ] {
                    let refused = try await bob.get(path + list)
                    #expect(refused.status == 422 && refused.errors == [error], "\(path)\(list) \(refused.text)")
                }
            }
            #expect(try await bob.get("/presence").errors == ["Users must be given: their ids, with commas between"])
            let socket = try await bob.socket()
            for (json, code) in [
                (#"{"type":"presence"}"#, "missing_parameter"), (#"{"type":"presence","users":"ann"}"#, "invalid"),
                (#"{"type":"presence","users":[1]}"#, "invalid"), (#"{"type":"presence","users":[""]}"#, "invalid"),
            ] {
                await socket.send(json)
                #expect(try await socket.next()?.contains("\"code\":\"\(code)\"") == true, "\(json)")
            }
            // Nobody is asked for.
            await socket.send(#"{"type":"presence","users":[]}"#)
            await socket.send(#"{"type":"dance"}"#)
            #expect(try await socket.next()?.contains("unknown_type") == true)
        }
    }
}
