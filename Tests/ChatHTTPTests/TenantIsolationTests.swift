import ChatHTTP
import Foundation
import HTTPTypes
import TestSupport
import Testing

/// One tenant never sees, changes or detects another's data: one case for each endpoint.
@Suite(.timeLimit(.minutes(3))) struct TenantIsolationTests {
    struct Endpoint: Sendable, CustomTestStringConvertible {
        let method: String
        /// After `/applications/<token>`.
        let path: String
        var json: String?

        var testDescription: String { "\(method) \(path)" }
    }

    static let inApplication =
        withSuffix([
            Endpoint(method: "GET", path: ""), Endpoint(method: "PATCH", path: "", json: #"{"name":"x"}"#),
            Endpoint(method: "PUT", path: "", json: #"{"name":"x"}"#), Endpoint(method: "GET", path: "/message_count"),
            Endpoint(method: "POST", path: "/chats"), Endpoint(method: "GET", path: "/chats"),
            Endpoint(method: "GET", path: "/messages/search?q=secret"), Endpoint(method: "GET", path: "/socket"),
            Endpoint(method: "POST", path: "/keys", json: #"{"name":"x","scopes":["read"]}"#),
            Endpoint(method: "GET", path: "/keys"), Endpoint(method: "GET", path: "/keys/\(key)"),
            Endpoint(method: "DELETE", path: "/keys/\(key)"), Endpoint(method: "DELETE", path: ""),
            Endpoint(method: "POST", path: "/suspension"), Endpoint(method: "DELETE", path: "/suspension"),
            Endpoint(method: "POST", path: "/rotate", json: "{}"), Endpoint(method: "GET", path: "/audit"),
            Endpoint(method: "GET", path: "/users/me/chats"), Endpoint(method: "GET", path: "/users/u1/chats"),
            Endpoint(method: "GET", path: "/users"),
        ]) + users

    private static let users = [
        Endpoint(method: "POST", path: "/jwt-keys", json: "{}"), Endpoint(method: "GET", path: "/jwt-keys"),
        Endpoint(method: "GET", path: "/jwt-keys/kid"), Endpoint(method: "DELETE", path: "/jwt-keys/kid"),
        Endpoint(method: "PATCH", path: "/jwt-keys/kid", json: #"{"state":"revoked"}"#),
        Endpoint(method: "POST", path: "/tickets", json: "{}"), Endpoint(method: "POST", path: "/revoke"),
        Endpoint(method: "GET", path: "/users/me"), Endpoint(method: "GET", path: "/presence?users=u1"),
        Endpoint(method: "GET", path: "/users/u1"), Endpoint(method: "PUT", path: "/users/u1", json: "{}"),
        Endpoint(method: "PATCH", path: "/users/u1", json: "{}"), Endpoint(method: "POST", path: "/users/u1/block"),
        Endpoint(method: "POST", path: "/users/u1/unblock"), Endpoint(method: "POST", path: "/users/u1/revoke"),
    ]

    private static let key = "000000000000"

    static let inChat = withSuffix([
        Endpoint(method: "GET", path: "/chats/2"), Endpoint(method: "GET", path: "/chats/2/message_count"),
        Endpoint(method: "POST", path: "/chats/2/messages", json: #"{"body":"x"}"#),
        Endpoint(method: "GET", path: "/chats/2/messages"), Endpoint(method: "GET", path: "/chats/2/messages/1"),
        Endpoint(method: "PATCH", path: "/chats/2/messages/1", json: #"{"metadata":{"a":1}}"#),
        Endpoint(method: "DELETE", path: "/chats/2/messages/1"),
        Endpoint(method: "GET", path: "/chats/2/messages/1/versions"),
        Endpoint(method: "GET", path: "/chats/2/messages/1/reactions?name=x"),
        Endpoint(method: "PUT", path: "/chats/2/messages/1/reactions/x?user=u1"),
        Endpoint(method: "DELETE", path: "/chats/2/messages/1/reactions/x?user=u1"),
        Endpoint(method: "GET", path: "/chats/2/pins"), Endpoint(method: "PUT", path: "/chats/2/pins/1"),
        Endpoint(method: "DELETE", path: "/chats/2/pins/1"),
        Endpoint(method: "GET", path: "/chats/2/changes?after=0"),
        Endpoint(method: "GET", path: "/chats/2/read?user=u1"),
        Endpoint(method: "PUT", path: "/chats/2/read?user=u1", json: #"{"number":1}"#),
        Endpoint(method: "GET", path: "/chats/2/reads"), Endpoint(method: "POST", path: "/chats/2/typing?user=u1"),
        Endpoint(method: "GET", path: "/chats/2/messages/search?q=secret"),
        Endpoint(method: "GET", path: "/chats/2/stream?after=0"),
        Endpoint(method: "PATCH", path: "/chats/2", json: #"{"name":"x"}"#),
        Endpoint(method: "GET", path: "/chats/2/members"), Endpoint(method: "GET", path: "/chats/2/members/u1"),
        Endpoint(method: "PUT", path: "/chats/2/members/u1", json: #"{"role":"member"}"#),
        Endpoint(method: "DELETE", path: "/chats/2/members/u1"),
    ])

    /// All of them, and those that answer JSON also with `.json` at the path's end.
    private static func withSuffix(_ endpoints: [Endpoint]) -> [Endpoint] {
        endpoints
            + endpoints.filter { !$0.path.contains(/stream|socket|members\/u1|reactions\/x/) }.map { endpoint in
                let (path, query) = (endpoint.path.prefix { $0 != "?" }, endpoint.path.drop { $0 != "?" })
                return Endpoint(method: endpoint.method, path: "\(path).json\(query)", json: endpoint.json)
            }
    }

    /// The answer without the parts that identify this one request.
    private func shape(_ answer: Answer) -> [String] {
        var json = answer.json
        json["instance"] = nil
        let headers = answer.headers.filter { !["X-Request-Id", "Date", "Content-Length"].contains($0.name) }
        return ["\(answer.status)"] + headers.map { "\($0.name)=\($0.value)" } + json.map { "\($0)=\($1)" }.sorted()
    }

    private func send(_ endpoint: Endpoint, as application: String, _ client: Client) async throws -> Answer {
        if let json = endpoint.json {
            try await client.send(endpoint.method, application + endpoint.path, json: json)
        } else {
            try await client.send(endpoint.method, application + endpoint.path)
        }
    }

    @Test(arguments: inChat)
    func anothersChatLooksLikeNoChat(_ endpoint: Endpoint) async throws {
        try await TestServer.run { server in
            let owner = try await server.client.makeApplication("owner")
            for _ in 1...2 { _ = try await server.client.send("POST", owner + "/chats") }
            _ = try await server.client.post(owner + "/chats/2/messages", json: #"{"body":"secret"}"#)
            _ = try await server.client.send("PUT", owner + "/chats/2/members/u1", json: #"{"role":"reader"}"#)
            _ = try await server.client.send("PATCH", owner + "/chats/2", json: #"{"receipts":"members"}"#)
            let stranger = try await server.client.makeApplication("stranger")
            _ = try await server.client.send("POST", stranger + "/chats")

            let foreign = try await send(endpoint, as: stranger, server.client)
            #expect(foreign.status == 404)
            let nothing = Endpoint(
                method: endpoint.method, path: endpoint.path.replacing("/chats/2", with: "/chats/77"),
                json: endpoint.json)
            #expect(shape(foreign) == shape(try await send(nothing, as: stranger, server.client)))
            #expect(try await server.client.get(owner + "/chats/2/messages").list.count == 1)
            #expect(try await send(endpoint, as: owner, server.client).status < 300)
        }
    }

    @Test(arguments: inApplication + inChat)
    func aWrongTokenLooksLikeNoApplication(_ endpoint: Endpoint) async throws {
        try await TestServer.run { server in
            let owner = try await server.client.makeApplication("owner")
            let unknown = "/applications/" + String(repeating: "0", count: 32)
            let answers = [
                try await send(endpoint, as: unknown, server.client),
                try await send(endpoint, as: String(owner.dropLast()), server.client),
                try await send(endpoint, as: "/applications/" + owner.dropFirst(14).uppercased() + "A", server.client),
                try await send(endpoint, as: "/applications/%00", server.client),
            ]
            for answer in answers {
                #expect(answer.status == 404)
                #expect(shape(answer) == shape(answers[0]))
            }
            #expect(try await server.client.get(owner).json["name"] as? String == "owner")
        }
    }

    @Test func everyRouteHasACase() async throws {
        try await TestServer.run { server in
            let cases = (Self.inApplication + Self.inChat).map { endpoint in
                let plain = ["?q=secret", "?after=0", "?name=x", "?users=u1", "?user=u1"].reduce(endpoint.path) {
                    $0.replacing($1, with: "")
                }
                let path = plain.replacing("/chats/2", with: "/chats/{chat_number}")
                    .replacing("/reactions/x", with: "/reactions/{reaction}")
                    .replacing("/pins/1", with: "/pins/{message_number}")
                    .replacing("/messages/1", with: "/messages/{message_number}")
                    .replacing(Self.key, with: "{key_id}").replacing("/kid", with: "/{kid}")
                    .replacing("/members/u1", with: "/members/{user}").replacing("/u1", with: "/{user}")
                return "\(endpoint.method) /applications/{token}\(path)"
            }
            let routes = server.routes.filter { $0.path.contains("{token}") }.map { "\($0.method) \($0.path)" }
            #expect(Set(cases) == Set(routes))
        }
    }

    @Test func countsListsAndKeysAreOnesOwn() async throws {
        try await TestServer.run { server in
            let first = try await server.client.makeChat()
            let second = try await server.client.makeChat()
            let key = ["Idempotency-Key": "same"]
            let one = try await server.client.post(first + "/messages", json: #"{"body":"one"}"#, headers: key)
            let two = try await server.client.post(second + "/messages", json: #"{"body":"two"}"#, headers: key)
            #expect(one.status == 201 && two.status == 201)
            #expect(two["Idempotent-Replayed"] == nil)
            #expect(try await server.client.get(second + "/messages").list.map { $0["body"] as? String } == ["two"])
            #expect(try await server.client.get(second + "/messages/search?q=o").numbers == [1])
            #expect(try await server.client.get(second + "/message_count").json["messages_count"] as? Int == 1)
            let application = String(second.dropLast(8))
            let hits = try await server.client.get(application + "/messages/search?q=o").list
            #expect(hits.map { $0["body"] as? String } == ["two"])
            #expect(try await server.client.get(application).json["messages_count"] as? Int == 1)
            #expect(try await server.client.get(application + "/chats").list.count == 1)
        }
    }
}
