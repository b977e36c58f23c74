import ChatCore
import ChatHTTP
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// Limits and origins that an application sets, over HTTP, on both backends.
@Suite(.timeLimit(.minutes(5))) struct LimitTests {
    /// Comes back so slowly that no test sees it.
    private static func slow(_ principal: LimitedPrincipal, _ action: LimitedAction, burst: Int64) -> Allowance {
        Allowance(principal, action, perMinute: 1, burst: burst)!
    }

    private static func rates(_ change: (inout LimitDefaults) -> Void) -> LimitDefaults {
        var rates = LimitDefaults.standard
        change(&rates)
        return rates
    }

    private struct Scene {
        let server: AccessServer
        let app: AccessServer.Application
        let key: [String: String]

        init(_ server: AccessServer, _ scopes: Abilities = .all) async throws {
            self.server = server
            // Until then each process decides on its own.
            let buckets = server.test.backend.rateBuckets
            try await eventually("Redis is there") { buckets.map(\.isThere) ?? true }
            app = try await server.makeApplication()
            key = AccessServer.bearer(try await app.key(scopes))
        }

        var path: String { "/applications/\(app.new.publicID)" }
        var messages: String { path + "/chats/1/messages" }

        func send(
            _ body: String, _ headers: [String: String] = [:]
        ) async throws -> Answer {
            try await server.client.post(messages, json: #"{"body":"\#(body)"}"#, headers: key.merging(headers) { $1 })
        }

        func patch(_ json: String, as key: [String: String]? = nil) async throws -> Answer {
            try await server.client.send("PATCH", path, json: json, headers: key ?? self.key)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aRefusalTellsWhen(_ kind: BackendKind) async throws {
        let rates = Self.rates { $0.limits.application[.create] = Self.slow(.application, .create, burst: 2) }
        try await AccessServer.run(kind, rates: rates) { server in
            let scene = try await Scene(server)
            let first = try await scene.send("a")
            #expect(first.status == 201)
            #expect(first["RateLimit-Policy"] == #""application-create";q=1;w=60"#)
            #expect(first["RateLimit"]?.hasPrefix(#""application-create";r=1;t="#) == true)
            #expect(try await scene.send("b").status == 201)
            let refused = try await scene.send("c")
            #expect(refused.status == 429 && refused.code == "quota-exceeded")
            #expect(refused["Content-Type"] == "application/problem+json")
            #expect(refused.json["type"] as? String == "https://iana.org/assignments/http-problem-types#quota-exceeded")
            #expect(refused.json["violated-policies"] as? [String] == ["application-create"])
            #expect(refused["RateLimit"]?.hasPrefix(#""application-create";r=0;t="#) == true)
            let wait = try #require(refused["Retry-After"].flatMap { Int($0) })
            #expect((1...74).contains(wait))
            // Other buckets, other applications and the server's own key are not touched.
            let read = try await server.client.get(scene.messages, headers: scene.key)
            #expect(read.status == 200 && read["RateLimit"] == nil)
            let admin = try await server.client.post(
                scene.messages, json: #"{"body":"x"}"#, headers: AccessServer.bearer(server.serverKey))
            #expect(admin.status == 201 && admin["RateLimit"] == nil)
            #expect(try await Scene(server).send("a").status == 201)
        }
    }

    /// A user that has used up its own leaves the others of its application theirs, whatever token it shows.
    @Test(arguments: BackendKind.allCases)
    func usersHaveALimitEach(_ kind: BackendKind) async throws {
        let rates = Self.rates { $0.limits.user[.create] = Self.slow(.user, .create, burst: 2) }
        try await AccessServer.run(kind, rates: rates) { server in
            _ = try await Scene(server)
            let users = try await SignedUsers(server)
            let path = "/applications/\(users.application.new.publicID)/chats/1/messages"
            func send(_ token: String) async throws -> Answer {
                try await server.client.post(
                    path, json: #"{"body":"x"}"#, headers: ["Authorization": "Bearer \(token)"])
            }
            let now = WallClock.system.now()
            for seconds in 0..<2 {
                let sent = try await send(users.token("u1", at: now.adding(.seconds(-seconds))))
                #expect(sent.status == 201)
                #expect(sent["RateLimit-Policy"] == #""user-create";q=1;w=60"#)
            }
            let refused = try await send(users.token("u1", at: now.adding(.seconds(-3))))
            #expect(refused.status == 429 && refused.json["violated-policies"] as? [String] == ["user-create"])
            #expect(try await send(users.token("u2")).status == 201)
            // Reads have their own.
            let read = try await server.client.get(path, headers: ["Authorization": "Bearer \(users.token("u1"))"])
            #expect(read.status == 200 && read["RateLimit-Policy"] == #""user-read";q=1200;w=60"#)
        }
    }

    /// A replay stores nothing, and costs a read. Without one it costs a create.
    @Test(arguments: BackendKind.allCases)
    func replaysEndAtTheLimitOfReads(_ kind: BackendKind) async throws {
        let rates = Self.rates { rates in
            rates.limits.application[.create] = Self.slow(.application, .create, burst: 3)
            rates.limits.application[.read] = Self.slow(.application, .read, burst: 4)
        }
        try await AccessServer.run(kind, rates: rates) { server in
            let scene = try await Scene(server)
            var statuses: [Int] = []
            for _ in 0..<9 { statuses.append(try await scene.send("a", ["Idempotency-Key": "k"]).status) }
            // The first, four reads, and the two creates that are left.
            #expect(statuses == Array(repeating: 201, count: 7) + [429, 429])
            #expect(try await server.client.get(scene.messages, headers: scene.key).status == 429)
            #expect(try await scene.send("b").status == 429)
        }
    }

    /// A replay stores nothing, and costs nothing where reads are not limited.
    @Test(arguments: BackendKind.allCases)
    func aReplayGivesItsUnitBack(_ kind: BackendKind) async throws {
        let rates = Self.rates { $0.limits.application[.create] = Self.slow(.application, .create, burst: 2) }
        try await AccessServer.run(kind, rates: rates) { server in
            let scene = try await Scene(server)
            for attempt in 0..<6 {
                let answer = try await scene.send("a", ["Idempotency-Key": "k"])
                #expect(answer.status == 201)
                #expect(answer["Idempotent-Replayed"] == (attempt == 0 ? nil : "true"))
            }
            #expect(try await scene.send("b").status == 201)
            #expect(try await scene.send("c").status == 429)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func anApplicationSetsItsLimits(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind, rates: .standard) { server in
            let scene = try await Scene(server)
            let set = try await scene.patch(
                #"{"limits":{"application":{"read":{"per_minute":1,"burst":2}},"user":{"create":{"per_minute":5}}}}"#)
            #expect(set.status == 200)
            let stored =
                #""limits":{"application":{"read":{"per_minute":1,"burst":2}},"user":{"create":{"per_minute":5,"burst":2}}}"#
            #expect(set.text.contains(stored))
            // From now on, whatever was known before.
            let shown = try await server.client.get(scene.path, headers: scene.key)
            #expect(shown.text.contains(stored) && shown["RateLimit"] != nil)
            #expect(try await server.client.get(scene.messages, headers: scene.key).status == 200)
            #expect(try await server.client.get(scene.messages, headers: scene.key).status == 429)
            let taken = try await scene.patch(
                #"{"limits":{"application":{"read":null}}}"#, as: AccessServer.bearer(server.serverKey))
            #expect(taken.text.contains(#""limits":{"user":{"create":{"per_minute":5,"burst":2}}}"#))
            #expect(try await server.client.get(scene.messages, headers: scene.key)["RateLimit"] == nil)
            #expect(try await scene.patch(#"{"limits":null,"name":"n"}"#).text.contains(#""limits":{}"#))
        }
    }

    /// It would be no limit for who may lift it.
    @Test(arguments: BackendKind.allCases)
    func onlyTheServersKeyLoosensAnApplicationsLimit(_ kind: BackendKind) async throws {
        let rates = Self.rates { $0.limits.application[.create] = Allowance(.application, .create, perMinute: 100) }
        let loose = #"{"limits":{"application":{"create":{"per_minute":101}}}}"#
        try await AccessServer.run(kind, rates: rates) { server in
            let scene = try await Scene(server)
            let refused = try await scene.patch(loose)
            #expect(refused.status == 403 && refused.code == "insufficient_scope")
            #expect(try await scene.patch(#"{"limits":{"application":{"create":{"per_minute":50}}}}"#).status == 200)
            #expect(try await scene.patch(#"{"limits":{"application":{"create":null}}}"#).status == 403)
            #expect(try await scene.patch(#"{"limits":null}"#).status == 403)
            #expect(try await scene.patch(#"{"limits":{"user":{"create":{"per_minute":101}}}}"#).status == 200)
            #expect(try await scene.patch(loose, as: AccessServer.bearer(server.serverKey)).status == 200)
            #expect(try await Scene(server, [.read, .write]).patch(#"{"limits":{}}"#).status == 403)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func mistakesChangeNothing(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scene = try await Scene(server)
            for json in [
                #"{"limits":5}"#, #"{"limits":{"user":{"create":{"per_minute":0}}},"name":"b"}"#, #"{"origins":"*"}"#,
                #"{"origins":["*"]}"#, #"{"origins":["https://a.example/"]}"#, #"{"origins":["null"]}"#,
                #"{"origins":["https://*.example"]}"#, #"{"origins":["ftp://a.example"]}"#, #"{"origins":[1]}"#,
                #"{"origins":["https://a.example b"]}"#,
                #"{"origins":[\#((0...32).map { #""https://a\#($0).example""# }.joined(separator: ","))]}"#,
            ] {
                let answer = try await scene.patch(json)
                #expect(answer.status == 422 && answer.code == "invalid", "\(json)")
                #expect(answer.errors?.count == 1, "\(json)")
            }
            let shown = try await server.client.get(scene.path, headers: scene.key)
            #expect(shown.text.contains(#""limits":{},"origins":[]"#) && shown.json["name"] as? String == "a")
        }
    }

    /// Wrong keys of one address: then nobody looks at what it shows.
    @Test(arguments: BackendKind.allCases)
    func wrongKeysAreLimitedByAddress(_ kind: BackendKind) async throws {
        let rates = Self.rates { $0.failures = LimitDefaults.failures(perMinute: 2) }
        var options = HTTPOptions()
        options.proxies = try TrustedProxies("127.0.0.1")
        try await AccessServer.run(kind, rates: rates, options: options) { server in
            let scene = try await Scene(server)
            func ask(_ authorization: String?, from address: String) async throws -> Answer {
                var headers = ["X-Forwarded-For": "192.0.2.99, " + address]
                headers["Authorization"] = authorization
                return try await server.client.get(scene.messages, headers: headers)
            }
            let wrong = "Bearer " + AccessKey.random(.application).text
            for _ in 0..<2 {
                let answer = try await ask(wrong, from: "192.0.2.1")
                #expect(answer.status == 401 && answer.code == "token_invalid")
            }
            let refused = try await ask("Bearer nothing", from: "192.0.2.1")
            #expect(refused.status == 429 && refused.code == "quota-exceeded")
            #expect(refused["Retry-After"].flatMap { Int($0) }.map { (1...38).contains($0) } == true)
            #expect(refused["RateLimit"] == nil && refused["WWW-Authenticate"] == nil)
            let right = try #require(scene.key["Authorization"])
            #expect(try await ask(right, from: "192.0.2.1").status == 429)
            #expect(
                try await server.client.send(
                    "GET", "/applications",
                    headers: AccessServer.bearer(server.serverKey).merging(["X-Forwarded-For": "192.0.2.1"]) { $1 }
                ).status == 429)
            // Nothing shown is no guess, and others are not touched.
            #expect(try await ask(nil, from: "192.0.2.1").status == 401)
            #expect(try await ask(right, from: "192.0.2.2").status == 200)
        }
    }

    // MARK: Origins

    private static let allowed = "https://chat.example"

    @Test(arguments: BackendKind.allCases)
    func pagesOfAnApplicationsOriginsMayAsk(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let scene = try await Scene(server)
            let other = try await Scene(server)
            let set = try await scene.patch(#"{"origins":["https://Chat.example:443","http://localhost:8080"]}"#)
            #expect(set.text.contains(#""origins":["https://chat.example","http://localhost:8080"]"#))

            func preflight(_ path: String, from origin: String) async throws -> Answer {
                try await server.client.send(
                    "OPTIONS", path, headers: ["Origin": origin, "Access-Control-Request-Method": "POST"])
            }
            for path in [scene.messages, "/applications/\(scene.app.new.token.text)/chats"] {
                let asked = try await preflight(path, from: Self.allowed)
                #expect(asked.status == 204)
                #expect(asked["Access-Control-Allow-Origin"] == Self.allowed)
                #expect(asked["Access-Control-Allow-Headers"]?.contains("authorization") == true)
                #expect(asked["Access-Control-Allow-Credentials"] == nil)
                #expect(asked["Vary"] == "Origin")
            }
            // An application that has other origins, one that has none, and one that is not there: the same answer.
            let unknown = "/applications/\(Tenant.PublicID.random())/chats/1/messages"
            let shapes = try await [
                preflight(scene.messages, from: "https://evil.example"), preflight(other.messages, from: Self.allowed),
                preflight(unknown, from: Self.allowed), preflight(scene.messages, from: "null"),
            ].map(\.shape)
            #expect(Set(shapes).count == 1 && shapes[0][0] == "405")

            func get(_ path: String, from origin: String?, _ key: [String: String]) async throws -> Answer {
                try await server.client.get(path, headers: origin.map { key.merging(["Origin": $0]) { $1 } } ?? key)
            }
            // Errors too, or a page could not tell why; but not to a stranger, who learns nothing of the application.
            for (path, key, status) in [
                (scene.messages, scene.key, 200), (scene.messages + "/99", scene.key, 404),
                (scene.messages, other.key, 404), (scene.messages, [:], 401),
            ] {
                let answer = try await get(path, from: Self.allowed, key)
                #expect(answer.status == status)
                let isKnown = key == scene.key
                #expect(answer["Access-Control-Allow-Origin"] == (isKnown ? Self.allowed : nil), "\(status)")
                #expect((answer["Access-Control-Expose-Headers"]?.contains("Retry-After") == true) == isKnown)
                #expect(answer["Vary"] == (isKnown ? "Origin" : nil))
            }
            let foreign = try await get(scene.messages, from: "https://evil.example", scene.key)
            #expect(foreign.status == 200 && foreign["Access-Control-Allow-Origin"] == nil)
            #expect(foreign["Vary"] == "Origin")
            #expect(try await get(scene.messages, from: nil, scene.key)["Vary"] == "Origin")
            let none = try await get(other.messages, from: Self.allowed, other.key)
            #expect(none["Access-Control-Allow-Origin"] == nil && none["Vary"] == nil)

            _ = try await scene.patch(#"{"origins":null}"#)
            #expect(try await preflight(scene.messages, from: Self.allowed).status == 405)
        }
    }

    /// The setting stays what it is, and an application's origins come to it.
    @Test func beside_CORS_ORIGIN() async throws {
        var options = HTTPOptions()
        options.corsOrigin = "https://server.example"
        try await AccessServer.run(.sqlite, options: options) { server in
            let scene = try await Scene(server)
            _ = try await scene.patch(#"{"origins":["https://chat.example"]}"#)
            for (origin, expected) in [
                ("https://server.example", "https://server.example"), (Self.allowed, Self.allowed),
                ("https://evil.example", "https://server.example"),
            ] {
                let asked = try await server.client.send(
                    "OPTIONS", scene.messages, headers: ["Origin": origin, "Access-Control-Request-Method": "POST"])
                #expect(asked.status == 204 && asked["Access-Control-Allow-Origin"] == expected)
                let answer = try await server.client.get(
                    scene.messages, headers: scene.key.merging(["Origin": origin]) { $1 })
                #expect(answer.status == 200 && answer["Access-Control-Allow-Origin"] == expected)
                #expect(answer.headers.count { $0.name == "Vary" } == 1)
            }
        }
    }
}
