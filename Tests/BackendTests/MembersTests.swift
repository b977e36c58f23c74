import ChatCore
import Foundation
import TestSupport
import Testing

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

        /// An application whose chat 1 is for members and has a message.
        init(_ server: AccessServer) async throws {
            self.server = server
            users = try await SignedUsers(server)
            let path = "/applications/\(users.application.new.publicID.text)"
            admin = Caller(client: server.client, path: path, headers: AccessServer.bearer(server.serverKey))
            #expect(try await admin.send("PATCH", "/chats/1", json: #"{"access":"members"}"#).status == 200)
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
                    #","name":"Sü","metadata":{"a":{"b":1.50,"c":2}},"access":"open","history":"since_join"}"#))
            let changed = try await scene.admin.send(
                "PATCH", "/chats/2", json: #"{"name":null,"metadata":{"a":{"c":null},"d":[1, 2]},"history":"all"}"#)
            let end = #","name":null,"metadata":{"a":{"b":1.50},"d":[1, 2]},"access":"open","history":"all"}"#
            #expect(changed.status == 200 && changed.text.hasSuffix(end), "\(changed.text)")
            #expect(try await scene.admin.get("/chats").text.contains(end))
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
