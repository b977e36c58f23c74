import ChatHTTP
import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import ChatCore

/// What is not there, and what the caller may not know of, look the same: the answers, byte for byte, and the look-ups that
/// they take, on every route and both backends.
@Suite(.timeLimit(.minutes(5))) struct NothingThereTests {
    @Test(arguments: BackendKind.allCases)
    func applicationsThatAreNotThere(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scene = try await Scene(server)
            for route in server.routes where route.path.contains("{token}") && !route.path.hasSuffix(".json") {
                for group in scene.applications { try await scene.check(route, group) }
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func chatsAndMessagesThatAreNotThere(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scene = try await Scene(server)
            for route in server.routes where route.path.contains("{token}") && !route.path.hasSuffix(".json") {
                for group in scene.inApplication where route.path.contains(group.parameter) {
                    try await scene.check(route, group)
                }
            }
        }
    }

    /// A page learns why its own credentials are refused, and nothing about other applications.
    @Test(arguments: BackendKind.allCases)
    func aPageReadsWhyItsOwnTokenIsRefused(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scene = try await Scene(server)
            func ask(_ user: String, at time: Timestamp, of id: String) async throws -> Answer {
                try await server.client.get(
                    "/applications/\(id)/chats/1/messages",
                    headers: ["Authorization": "Bearer \(scene.users.token(user, at: time))", "Origin": Scene.page])
            }
            let (own, other) = (scene.own.new.publicID.text, scene.other.new.publicID.text)
            let now = WallClock.system.now()
            _ = try await scene.own.scope.block(User.ID("u9")!)
            for (user, age, code) in [
                ("u1", 7200, "token_expired"), ("u1", -120, "token_not_yet_valid"), ("u9", 0, "user_blocked"),
            ] as [(String, Int, String)] {
                let answer = try await ask(user, at: now.adding(.seconds(-age)), of: own)
                #expect(answer.code == code)
                #expect(answer["Access-Control-Allow-Origin"] == Scene.page, "\(code)")
                let theirs = try await ask(user, at: now.adding(.seconds(-age)), of: other)
                #expect(theirs.code == code && theirs["Access-Control-Allow-Origin"] == nil, "\(code)")
            }
        }
    }

    /// Requests whose answers must be the same.
    private struct Group: Sendable {
        let name: String
        /// The parameter of the path that differs.
        var parameter = "{token}"
        let variants: [(value: String, headers: [String: String])]
        /// Other parameters that do not stand for what is there.
        var others: [String: String] = [:]
    }

    private struct Scene {
        static let page = "https://chat.example"

        let server: AccessServer
        let own: AccessServer.Application
        let other: AccessServer.Application
        let users: SignedUsers
        let applications: [Group]
        let inApplication: [Group]

        init(_ server: AccessServer) async throws {
            self.server = server
            let (own, other) = (try await server.makeApplication(), try await server.makeApplication())
            let (off, rotated) = (try await server.makeApplication(), try await server.makeApplication())
            (self.own, self.other) = (own, other)
            let users = try await SignedUsers(server, own)
            self.users = users
            let key = AccessServer.bearer(try await own.key(.all))
            let user = ["Authorization": "Bearer \(users.token("u1"))"]
            // Chat 2 is for its members, message 1 of chat 3 came before u1 did, and only the other has a chat 5.
            for _ in 2...3 { _ = try await own.scope.createChat(Chat.Patch(access: .members)) }
            let late = try await own.scope.chat("3")
            _ = try await late.update(Chat.Patch(history: .sinceJoin))
            _ = try await late.send(MessageContent(body: "before"))
            _ = try await late.setMember(User.ID("u1")!, role: .member)
            _ = try await late.send(MessageContent(body: "since"))
            for _ in 2...5 { _ = try await other.scope.createChat() }
            _ = try await other.scope.putUser(User.ID("u2")!, name: nil, metadata: nil)
            let theirKey = try await SignedUsers(server, other).key.id.text
            for application in [own, other] {
                _ = try await application.scope.update(
                    rules: RulesChange(origins: [Self.page]))
            }
            _ = try await off.scope.update(pathToken: .off)
            _ = try await rotated.scope.update(pathToken: .credential)
            _ = try await rotated.scope.rotate(overlap: 0)

            let unknown = (Tenant.PublicID.random().text, Tenant.Token.random().text)
            let hidden = [unknown.1, off.new.token.text, rotated.new.token.text]
            func named(_ name: String, _ values: [String], _ headers: [String: String]) -> [Group] {
                [[:], ["Origin": Self.page]].map { page in
                    let headers = headers.merging(page) { $1 }
                    return Group(name: "\(name) \(page)", variants: values.map { ($0, headers) })
                }
            }
            func forged(for audience: String) -> (String, [String: String]) {
                let token = UserToken.sign(
                    for: User.ID("u1")!, audience: audience, issuedAt: WallClock.system.now(),
                    expiresAt: WallClock.system.now().adding(.seconds(600)), keyID: .random(), secret: users.secret)
                return (audience, ["Authorization": "Bearer \(token)", "Origin": Self.page])
            }
            let (ownID, otherID) = (own.new.publicID.text, other.new.publicID.text)
            applications =
                named("key", [unknown.0, otherID], key) + named("user", [unknown.0, otherID], user)
                + named("key", hidden + [other.new.token.text], key)
                + named("user", hidden + [other.new.token.text], user)
                + named("none", [unknown.0, ownID, otherID], [:]) + named("none", hidden, [:])
                + named(
                    "wrong key", [unknown.0, ownID, unknown.1, own.new.token.text],
                    AccessServer.bearer(.random(.application)))
                + [Group(name: "forged", variants: [forged(for: unknown.0), forged(for: ownID)])]

            func inside(
                _ parameter: String, _ values: [String], _ headers: [String: String], _ others: [String: String] = [:]
            ) -> Group {
                Group(
                    name: parameter, parameter: parameter, variants: values.map { ($0, headers) },
                    others: others.merging(["{token}": ownID]) { $1 })
            }
            inApplication = [
                inside("{chat_number}", ["77", "2", "5"], user), inside("{chat_number}", ["77", "5"], key),
                inside("{message_number}", ["99", "1"], user, ["{chat_number}": "3"]),
                inside("{key_id}", [AccessKey.ID.random().text, other.victim.text], key),
                inside("{kid}", [UserTokenKey.ID.random().text, theirKey], key),
            ]
        }

        /// Sends each request twice, and looks at the second, which finds what is kept.
        func check(_ route: Routes.Route, _ group: Group) async throws {
            for attempt in 1...3 {
                var seen: [(answer: Answer, reads: [String: Int])] = []
                for (value, headers) in group.variants {
                    _ = try await send(route, group, value, headers)
                    let before = server.reads
                    let answer = try await send(route, group, value, headers)
                    let reads = server.reads.map { ($0.key, $0.value - (before[$0.key] ?? 0)) }.filter { $0.1 != 0 }
                    seen.append((answer, Dictionary(uniqueKeysWithValues: reads)))
                }
                let what = "\(route.method) \(route.path), \(group.name)"
                for other in seen.dropFirst() {
                    #expect(other.answer.status == seen[0].answer.status, "\(what)")
                    #expect(Self.bytes(of: other.answer) == Self.bytes(of: seen[0].answer), "\(what)")
                }
                #expect(seen[0].answer.status >= 400, "\(what)")
                if seen.allSatisfy({ $0.reads == seen[0].reads }) { return }
                // The server reads by itself, too.
                #expect(attempt < 3, "\(what): \(seen.map(\.reads))")
            }
        }

        private func send(
            _ route: Routes.Route, _ group: Group, _ value: String, _ headers: [String: String]
        ) async throws -> Answer {
            var path = route.path
            let values = [
                "{token}": own.new.publicID.text, "{chat_number}": "1", "{message_number}": "1", "{key_id}": "0",
                "{kid}": "0", "{user}": "u1",
            ].merging(group.others) { $1 }.merging([group.parameter: value]) { $1 }
            for (name, value) in values { path = path.replacing(name, with: value) }
            if path.hasSuffix("/search") { path += "?q=x" }
            var headers = headers
            headers["X-Request-Id"] = "same"
            guard route.method == .post || route.method == .put || route.method == .patch else {
                return try await server.client.send(route.method.rawValue, path, headers: headers)
            }
            return try await server.client.send(
                route.method.rawValue, path,
                json: #"{"name":"x","body":"x","role":"member","state":"revoked","scopes":["read"]}"#, headers: headers)
        }

        /// All of an answer but the time.
        private static func bytes(of answer: Answer) -> [String] {
            answer.headers.filter { $0.name != "Date" }.map { "\($0.name): \($0.value)" } + [answer.text]
        }
    }
}
