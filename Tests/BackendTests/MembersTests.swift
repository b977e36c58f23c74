import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Members of chats on both backends: what they see and do, and how that ends.
@Suite(.timeLimit(.minutes(4))) struct MembersTests {
    /// A user's requests.
    struct Caller: Sendable {
        let client: Client
        let path: String
        let headers: [String: String]

        func send(_ method: String, _ rest: String, json: String? = nil) async throws -> Answer {
            guard let json else { return try await client.send(method, path + rest, headers: headers) }
            return try await client.send(method, path + rest, json: json, headers: headers)
        }

        func get(_ rest: String) async throws -> Answer { try await send("GET", rest) }

        func say(_ body: String, in chat: Int = 1) async throws -> Answer {
            try await send("POST", "/chats/\(chat)/messages", json: "{\"body\":\"\(body)\"}")
        }

        func stream(_ rest: String) async throws -> LiveClient {
            try await LiveClient(client.port, path + rest, headers: headers)
        }

        func socket() async throws -> LiveClient {
            try await LiveClient(client.port, path + "/socket", headers: headers, isSocket: true)
        }
    }

    struct Scene: Sendable {
        let server: AccessServer
        let users: SignedUsers
        let admin: Caller

        /// An application whose chat 1 is for members and has a message, and has taken no revision.
        init(_ server: AccessServer) async throws {
            self.server = server
            users = try await SignedUsers(server)
            let path = "/applications/\(users.application.new.publicID.text)"
            admin = Caller(client: server.client, path: path, headers: AccessServer.bearer(server.serverKey))
            try await server.test.update("chats SET access = \(Chat.Access.members.rawValue) WHERE number = 1")
        }

        func caller(_ user: String) -> Caller {
            Caller(
                client: server.client, path: admin.path, headers: ["Authorization": "Bearer \(users.token(user))"])
        }

        func set(_ user: String, _ role: String, in chat: Int = 1) async throws {
            let answer = try await admin.send("PUT", "/chats/\(chat)/members/\(user)", json: "{\"role\":\"\(role)\"}")
            #expect(answer.status == 200 && answer.json["role"] as? String == role, "\(answer.text)")
        }
    }

    static func run(_ kind: BackendKind, _ body: @escaping @Sendable (Scene) async throws -> Void) async throws {
        try await AccessServer.run(kind) { server in try await body(Scene(server)) }
    }

    @Test(arguments: BackendKind.allCases)
    func aChatHasSettings(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            let made = try await scene.admin.send(
                "POST", "/chats", json: #"{"name":"Sü","metadata":{"a":{"b":1.50,"c":2}},"history":"since_join"}"#)
            #expect(made.status == 201)
            let shown = try await scene.admin.get("/chats/2")
            #expect(
                shown.text.hasSuffix(
                    #","name":"Sü","metadata":{"a":{"b":1.50,"c":2}},"access":"open","history":"since_join","#
                        + #""receipts":"off"}"#))
            let changed = try await scene.admin.send(
                "PATCH", "/chats/2", json: #"{"name":null,"metadata":{"a":{"c":null},"d":[1, 2]},"history":"all"}"#)
            let end =
                #","name":null,"metadata":{"a":{"b":1.50},"d":[1,2]},"access":"open","history":"all","receipts":"off"}"#
            #expect(changed.status == 200 && changed.text.hasSuffix(end), "\(changed.text)")
            #expect(try await scene.admin.get("/chats").text.contains(end))
            #expect(try await scene.admin.send("PATCH", "/chats/2", json: "{}").text == changed.text)
            #expect(try await scene.admin.send("PATCH", "/chats/2").code == "malformed_json")
            let none = try await scene.admin.send("PATCH", "/chats/2", json: #"{"metadata":null}"#)
            #expect(none.text.contains(#""metadata":null"#))
            for json in [
                #"{"name":""}"#, #"{"metadata":[]}"#, #"{"metadata":"x"}"#, #"{"access":"x"}"#, #"{"history":1}"#,
                "{\"metadata\":{\"a\":\"\(String(repeating: "x", count: 8192))\"}}",
            ] {
                for (method, path) in [("POST", "/chats"), ("PATCH", "/chats/2")] {
                    let answer = try await scene.admin.send(method, path, json: json)
                    #expect(answer.status == 422 && answer.errors?.count == 1, "\(method) \(json): \(answer.text)")
                }
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aUserOwnsTheChatItMakes(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            let (ann, bob) = (scene.caller("ann"), scene.caller("bob"))
            #expect(try await ann.send("POST", "/chats", json: "{}").status == 201)
            #expect(try await ann.get("/chats/2").json["access"] as? String == "members")
            #expect(try await ann.get("/chats/2/members").list.map { $0["role"] as? String } == ["owner"])
            #expect(try await ann.send("POST", "/chats", json: #"{"access":"open","name":"All"}"#).status == 201)
            let own = try await ann.get("/users/me/chats?limit=1")
            #expect(own.list.map { $0["number"] as? Int } == [3] && own.list[0]["role"] as? String == "owner")
            let rest = try await ann.client.get(try #require(own.link("next")), headers: ann.headers)
            #expect(rest.list.map { $0["number"] as? Int } == [2] && rest.link("next") == nil)
            #expect(try await bob.get("/users/me/chats").text == "[]")
            // Chats that are not there are in no list.
            #expect(try await ann.get("/chats").list.map { $0["number"] as? Int } == [2, 3])
            #expect(try await bob.get("/chats").list.map { $0["number"] as? Int } == [3])
            // The last owner stays, until there is another one.
            #expect(try await ann.send("DELETE", "/chats/2/members/ann").status == 422)
            #expect(try await ann.send("PUT", "/chats/2/members/bob", json: #"{"role":"owner"}"#).status == 200)
            #expect(try await ann.send("DELETE", "/chats/2/members/ann").status == 200)
            #expect(try await bob.get("/chats/2/members").list.map { $0["user"] as? String } == ["bob"])
            #expect(try await bob.send("PATCH", "/chats/2", json: #"{"name":"Bob's"}"#).status == 200)
            #expect(try await ann.send("PATCH", "/chats/2", json: #"{"name":"x"}"#).code == "insufficient_role")
        }
    }

    /// Answers for a chat that is not there for a user and for one that is nowhere are the same, and so are the look-ups.
    @Test(arguments: BackendKind.allCases)
    func aHiddenChatIsLikeNone(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            try await scene.set("ban", "banned")
            #expect(try await scene.admin.send("POST", "/chats", json: "{}").status == 201)
            try await scene.set("ban", "banned", in: 2)
            for (user, chat) in [("out", 1), ("ban", 1), ("ban", 2)] {
                let caller = scene.caller(user)
                for (method, rest, json) in [
                    ("GET", "", nil), ("GET", "/messages", nil), ("GET", "/messages/1", nil),
                    ("GET", "/messages/search?q=x", nil), ("GET", "/message_count", nil), ("GET", "/members", nil),
                    ("GET", "/stream", nil), ("POST", "/messages", #"{"body":"x"}"#), ("PATCH", "", #"{"name":"x"}"#),
                    ("PUT", "/members/u", #"{"role":"member"}"#), ("DELETE", "/members/\(user)", nil),
                    ("GET", "/members/\(user)", nil),
                ] as [(String, String, String?)] {
                    let hidden = try await caller.send(method, "/chats/\(chat)\(rest)", json: json)
                    let unknown = try await caller.send(method, "/chats/77\(rest)", json: json)
                    #expect(hidden.status == 404 && hidden.shape == unknown.shape, "\(user) \(method) \(rest)")
                }
                let socket = try await caller.socket()
                var answers: [String?] = []
                for number in [chat, 77] {
                    for request in ["subscribe\",\"chat\":\(number)", "send\",\"body\":\"x\",\"chat\":\(number)"] {
                        await socket.send("{\"type\":\"\(request)}")
                        answers.append(try await socket.next()?.replacing("\"chat\":\(number)", with: "\"chat\":0"))
                    }
                }
                #expect(answers[0]?.contains("not_found") == true && answers[0] == answers[2])
                #expect(answers[1]?.contains("not_found") == true && answers[1] == answers[3])
            }
            #expect(try await scene.admin.get("/chats/1/message_count").json["messages_count"] as? Int == 1)
        }
    }

    /// What is outside of a member's numbers is not there: in gets, lists, links, searches, counts and streams.
    @Test(arguments: BackendKind.allCases)
    func aMemberSeesItsNumbers(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"history":"since_join"}"#).status == 200)
            func say(_ numbers: ClosedRange<Int>) async throws {
                for number in numbers { #expect(try await scene.admin.say("x \(number)").status == 201) }
            }
            try await say(2...3)
            try await scene.set("late", "member")
            let late = scene.caller("late")
            #expect(try await late.get("/chats/1/members/late").json["from_number"] as? Int == 4)
            #expect(try await late.get("/chats/1/messages").text == "[]")
            let live = try await late.stream("/chats/1/stream?after=0")
            try await say(4...8)
            #expect(try await live.all(until: "\"number\":8").joined().contains("\"number\":3") == false)
            func check(_ numbers: ClosedRange<Int>, _ comment: Comment) async throws {
                func list(_ query: String) async throws -> (numbers: [Int], links: Set<String>) {
                    let answer = try await late.get("/chats/1/messages\(query)")
                    let links = ["next", "prev"].filter { answer.link($0) != nil }
                    return (answer.list.compactMap { $0["number"] as? Int }, Set(links))
                }
                for number in 1...9 {
                    let status = try await late.get("/chats/1/messages/\(number)").status
                    #expect(status == (numbers.contains(number) ? 200 : 404), comment)
                }
                let (all, last) = (Array(numbers), numbers.upperBound)
                for (query, expected, links) in [
                    ("", all, []), ("?order=desc", all.reversed(), []), ("?limit=2", [4, 5], ["next"]),
                    ("?after=1&limit=2", [4, 5], ["next"]), ("?before=6", [4, 5], ["next"]),
                    ("?after=4", Array(all.dropFirst()), ["prev"]), ("?before=100", all, []),
                    ("?before=4", [], ["next"]), ("?after=\(last)", [], ["prev"]),
                    ("?around=4&limit=3", [4, 5], ["next"]), ("?around=2", all, []),
                    ("?around=\(last)&limit=2", [last], ["prev"]), ("?before=4&order=desc", [], ["prev"]),
                    ("/search?q=x", all, []), ("/search?q=x&limit=2", [4, 5], ["next"]),
                    ("/search?q=x&before=100&limit=2", [last - 1, last], ["prev"]),
                    ("/search?q=x&after=3&before=6", [4, 5], ["next"]), ("/search?q=x&after=0", all, []),
                ] as [(String, [Int], Set<String>)] {
                    let found = try await list(query)
                    #expect(found.numbers == expected, "\(comment) \(query)")
                    if query != "/search?q=x&after=3&before=6", query != "?around=2" {
                        #expect(found.links == links, "\(comment) \(query)")
                    }
                }
                let counted = try await late.get("/chats/1/message_count").json["messages_count"] as? Int
                #expect(counted == numbers.count, comment)
                #expect(try await late.get("/chats/1").json["messages_count"] as? Int == numbers.count, comment)
                #expect(try await late.get("/chats").list.map { $0["messages_count"] as? Int } == [numbers.count])
                let everywhere = try await late.get("/messages/search?q=x")
                #expect(everywhere.list.map { $0["number"] as? Int } == all.reversed(), comment)
            }
            try await check(4...8, "while it is a member")
            let removed = try await scene.admin.send("DELETE", "/chats/1/members/late")
            #expect(removed.text == #"{"user":"late","role":null}"#)
            #expect(try await live.next()?.contains(#"{"code":"not_found","reconnect":false}"#) == true)
            #expect(try await live.next() == nil)
            try await say(9...9)
            try await check(4...8, "after it was removed")
            #expect(try await late.say("x").code == "insufficient_role")
            #expect(try await late.get("/chats/1/stream?after=4").status == 404)
            #expect(try await late.get("/chats/1/members/late").status == 404)
            #expect(try await scene.admin.get("/chats/1/members").text == "[]")
            #expect(try await late.get("/users/me/chats").text == "[]")
            // It joins anew.
            try await scene.set("late", "member")
            #expect(try await late.get("/chats/1/messages").text == "[]")
            // In an open chat it is like any user.
            #expect(try await scene.admin.send("DELETE", "/chats/1/members/late").status == 200)
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"access":"open"}"#).status == 200)
            #expect(try await late.get("/chats/1/messages").list.count == 9)
            #expect(try await late.say("x").status == 201)
        }
    }

    /// Whoever may only read an open chat does not write there again by leaving it.
    @Test(arguments: BackendKind.allCases)
    func aReaderOfAnOpenChatLeavesAsOne(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"access":"open"}"#).status == 200)
            try await scene.set("mute", "reader")
            let mute = scene.caller("mute")
            #expect(try await mute.say("x").code == "insufficient_role")
            for _ in 0..<2 {
                #expect(try await mute.send("DELETE", "/chats/1/members/mute").status == 200)
                #expect(try await mute.say("x").code == "insufficient_role")
            }
            #expect(try await mute.get("/chats/1/messages").list.count == 1)
            #expect(try await mute.get("/users/me/chats").text == "[]")
            let refused = try await mute.send("PUT", "/chats/1/members/mute", json: #"{"role":"member"}"#)
            #expect(refused.code == "insufficient_role")
            // Nor by leaving while it is closed.
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"access":"members"}"#).status == 200)
            try await scene.set("mute", "reader")
            #expect(try await mute.send("DELETE", "/chats/1/members/mute").status == 200)
            #expect(try await mute.say("x").code == "insufficient_role")
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"access":"open"}"#).status == 200)
            #expect(try await mute.say("x").code == "insufficient_role")
            // Whoever looks after the chat lets it.
            #expect(try await scene.admin.send("DELETE", "/chats/1/members/mute").status == 200)
            #expect(try await mute.say("x").status == 201)
            try await scene.set("mute", "reader")
            #expect(try await scene.admin.send("DELETE", "/chats/1/members/mute").status == 200)
            #expect(try await mute.say("x").status == 201)
        }
    }

    /// A change makes forgotten what it is about, and one that changes nothing tells nobody.
    ///
    /// In a cluster the table of changes would tell of each once more.
    @Test func aChangeIsToldOnlyWhereItIs() async throws {
        try await Self.run(.sqlite) { scene in
            #expect(try await scene.admin.send("POST", "/chats", json: #"{"access":"members"}"#).status == 201)
            let (service, tenant) = (scene.server.service, scene.users.application.scope.id)
            func isKnown(_ user: String, in chat: Int64) -> Bool {
                let key = Memberships.Key(tenant: tenant, chat: Chat.Number(chat), user: User.ID(user)!)
                return service.memberships.known(key) != nil
            }
            for user in ["ann", "bob"] {
                for chat in 1...2 {
                    try await scene.set(user, "admin", in: chat)
                    #expect(try await scene.caller(user).get("/chats/\(chat)").status == 200)
                }
            }
            let all = [("ann", 1), ("ann", 2), ("bob", 1), ("bob", 2)] as [(String, Int64)]
            for (method, path, json) in [
                ("PATCH", "/chats/2", #"{"access":"members"}"#), ("PATCH", "/chats/2", #"{"name":"n"}"#),
            ] {
                #expect(try await scene.admin.send(method, path, json: json).status == 200)
                for (user, chat) in all { #expect(isKnown(user, in: chat), "\(json) \(user) \(chat)") }
            }
            #expect(try await scene.admin.send("PATCH", "/chats/2", json: #"{"access":"open"}"#).status == 200)
            for (user, chat) in all { #expect(isKnown(user, in: chat) == (chat == 1), "\(user) \(chat)") }
            try await scene.set("bob", "member")
            #expect(isKnown("ann", in: 1) && !isKnown("bob", in: 1))
        }
    }

    /// A process that does not know yet that the token was replaced goes on to change members and chats.
    @Test(arguments: BackendKind.allCases)
    func theTokenOfBeforeChangesMembersToo(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            let (log, now) = (scene.server.test.backend.tenantLog, WallClock.system.now())
            let rotation = TenantChange.rotate(
                scene.users.application.scope.id, to: .random(), oldUntil: now.adding(.seconds(3600)))
            #expect(try await log.apply([rotation], at: now)[0].get() == .changed)
            try await scene.set("ann", "member")
            #expect(try await scene.admin.send("PATCH", "/chats/1", json: #"{"name":"n"}"#).status == 200)
            #expect(try await scene.admin.send("DELETE", "/chats/1/members/ann").status == 200)
        }
    }

    /// Changes of members, chats and users leave a row of the audit each, unless they change nothing.
    @Test(arguments: BackendKind.allCases)
    func changesLeaveRowsInTheAudit(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            let (ann, start) = (scene.caller("ann"), try await scene.admin.get("/audit").list.count)
            #expect(try await ann.get("/users/me").status == 200)
            let requests: [(method: String, path: String, json: String?, row: String?)] = [
                ("PUT", "/chats/1/members/ann", #"{"role":"owner"}"#, "member.set chats/1/members/ann owner"),
                ("PUT", "/chats/1/members/ann", #"{"role":"owner"}"#, nil),
                (
                    "PATCH", "/chats/1", #"{"name":"secret","metadata":{"a":"secret"},"access":"members"}"#,
                    "chat.update chats/1 name,metadata,access=members"
                ), ("PATCH", "/chats/1", #"{"name":"secret","metadata":{"a":"secret"}}"#, nil),
                ("PATCH", "/chats/1", #"{"history":"since_join"}"#, "chat.update chats/1 history=since_join"),
                ("PUT", "/users/bob", #"{"name":"secret"}"#, "user.update bob"),
                ("PUT", "/users/bob", #"{"name":"secret"}"#, nil),
                ("PATCH", "/users/bob", #"{"metadata":{"a":"secret"}}"#, "user.update bob"),
                ("PATCH", "/users/bob", #"{"metadata":{"a":"secret"}}"#, nil),
                ("POST", "/users/bob/block", nil, "user.block bob"), ("POST", "/users/bob/block", nil, nil),
                ("POST", "/users/bob/unblock", nil, "user.unblock bob"), ("POST", "/users/bob/unblock", nil, nil),
                ("POST", "/users/bob/revoke", nil, "user.revoke bob"),
                ("DELETE", "/chats/1/members/ann", nil, "member.remove chats/1/members/ann"),
                ("DELETE", "/chats/1/members/ann", nil, nil),
            ]
            var expected: [String] = []
            for (method, path, json, row) in requests {
                let answer = try await scene.admin.send(method, path, json: json)
                #expect(answer.status == 200, "\(method) \(path): \(answer.text)")
                expected += [row].compactMap(\.self)
            }
            // A user's own profile is its own affair; what it does to a chat is not.
            #expect(try await ann.send("PATCH", "/users/ann", json: #"{"name":"secret"}"#).status == 200)
            try await scene.set("ann", "owner")
            #expect(try await ann.send("PATCH", "/chats/1", json: #"{"name":"other secret"}"#).status == 200)
            expected += ["member.set chats/1/members/ann owner", "chat.update chats/1 name"]
            let audit = try await scene.admin.get("/audit")
            let rows = audit.list.dropFirst(start)
            #expect(rows.map { "\($0["action"] ?? "") \($0["target"] ?? "")" } == expected)
            #expect(rows.last?["principal"] as? String == "user:ann")
            #expect(rows.allSatisfy { $0["request_id"] is String && $0["address"] is String })
            #expect(!audit.text.contains("secret"))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aSocketKeepsWhatIsStillThere(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            #expect(try await scene.admin.send("POST", "/chats", json: "{}").status == 201)
            try await scene.set("u1", "member")
            let socket = try await scene.caller("u1").socket()
            for chat in 1...2 {
                await socket.send("{\"type\":\"subscribe\",\"chat\":\(chat)}")
                #expect(try await socket.next()?.contains("subscribed") == true)
            }
            try await scene.set("u1", "banned")
            #expect(try await socket.next()?.contains(#""chat":1,"code":"not_found""#) == true)
            #expect(try await socket.next()?.contains(#""type":"unsubscribed","chat":1"#) == true)
            for chat in 1...2 { #expect(try await scene.admin.say("after", in: chat).status == 201) }
            #expect(try await socket.next()?.contains(#""type":"message","chat":2"#) == true)
            // A chat that is for members from now on.
            #expect(try await scene.admin.send("PATCH", "/chats/2", json: #"{"access":"members"}"#).status == 200)
            #expect(try await socket.next()?.contains(#""chat":2,"code":"not_found""#) == true)
        }
    }

    /// Ids that look alike, or differ by a space, are different users.
    @Test(arguments: BackendKind.allCases)
    func usersAreToldApartByTheirBytes(_ kind: BackendKind) async throws {
        try await Self.run(kind) { scene in
            let names = ["\u{E9}", "e\u{301}", "E\u{301}", "u", "u ", " u", "U"]
            try await scene.set("u", "reader")
            try await scene.set("%C3%A9", "admin")
            for name in names {
                let status = try await scene.caller(name).get("/chats/1").status
                let isMember = ["u", "\u{E9}"].contains { $0.utf8.elementsEqual(name.utf8) }
                #expect(status == (isMember ? 200 : 404), "\(name)")
            }
            for name in names {
                let path = name.utf8.map { "%" + String($0, radix: 16) }.joined()
                try await scene.set(path, "member")
            }
            var (found, next) = ([String](), "/chats/1/members?limit=2" as String?)
            while let path = next {
                let page = try await scene.admin.get(path)
                found += page.list.compactMap { $0["user"] as? String }
                next = page.link("next")?.replacing(scene.admin.path, with: "")
            }
            let sorted = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            #expect(found.map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
        }
    }
}
