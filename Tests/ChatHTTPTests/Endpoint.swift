import ChatCore
import ChatHTTP
import ChatSQLite
import HTTPTypes
import TestSupport
import Testing

/// A route with a request that succeeds. Test tables are built from the router's own list, so a new route is in all of
/// them.
struct Endpoint: Sendable, CustomStringConvertible {
    let method: String
    /// With parameters in braces: `/applications/{token}`.
    let pattern: String

    var description: String { "\(method) \(pattern)" }

    private var last: String { pattern.split(separator: "/").last.map(String.init) ?? "" }

    /// Whether it cannot be answered without the store.
    var needsStore: Bool { pattern.hasPrefix("/applications") || ["/up", "/readyz"].contains(pattern) }
    var isWrite: Bool { method != "GET" && method != "HEAD" }
    /// Whether only the server's own key may.
    private var needsServerKey: Bool {
        pattern == "/applications" && !isWrite || last == "suspension" || method == "DELETE" && last == "{token}"
    }
    /// Whether it changes something of a message that was just made.
    var isChange: Bool { isWrite && !(method == "DELETE" && (last == "{reaction}" || pattern.contains("/pins/"))) }
    /// Whether it makes something.
    var isCreate: Bool { method == "POST" && !["rotate", "suspension"].contains(last) }
    /// Whether it may be sent again with the same key.
    var takesKey: Bool { method == "POST" && ["chats", "messages"].contains(last) }
    /// Whether its success is a WebSocket.
    var isSocket: Bool { last == "socket" }
    var isList: Bool { !isWrite && ["chats", "messages", "search", "versions", "reactions"].contains(last) }

    /// Whether a correct request is answered with this status: only GET can open a socket.
    func isSuccess(_ status: Int) -> Bool { isSocket && method == "HEAD" ? status == 426 : status < 300 }

    private var isPin: Bool { pattern.contains("/pins/") }

    /// The headers without which it cannot succeed.
    var headers: [String: String] {
        if needsServerKey {
            return ["Authorization": "Bearer \(TestServer.adminKey.text)"]
        }
        guard isSocket, method == "GET" else { return [:] }
        return [
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ]
    }

    /// The body that it takes.
    var json: String? {
        guard isWrite, method != "DELETE", !["suspension", "{reaction}"].contains(last), !isPin else { return nil }
        return switch last {
        case "keys": #"{"name":"new","scopes":["read"]}"#
        case "{user}" where pattern.contains("/members/"): #"{"role":"member"}"#
        case "messages": #"{"body":"new"}"#
        case "chats": #"{"x":1}"#
        case "read": #"{"number":1}"#
        case "{message_number}": #"{"metadata":{"a":1}}"#
        case "{chat_number}": #"{"name":"renamed"}"#
        case "rotate": #"{"overlap_s":60}"#
        default: #"{"name":"new"}"#
        }
    }

    func path(_ place: Place, query: String? = nil) -> String {
        let path = pattern.replacing("{token}", with: place.token).replacing("{chat_number}", with: place.chat)
            .replacing("{message_number}", with: place.message).replacing("{key_id}", with: place.key)
            .replacing("/members/{user}", with: "/members/\(place.member)").replacing("{reaction}", with: "x")
        let own = [
            "search": "q=x", "changes": "after=0", "read": "user=u1", "reactions": "name=x", "{reaction}": "user=u1",
        ]
        let queries = [own[last], query].compactMap(\.self)
        return queries.isEmpty ? path : path + "?" + queries.joined(separator: "&")
    }
}

/// What a path's parameters stand for.
struct Place: Sendable {
    var token: String
    var chat = "1"
    var message = "1"
    /// A member of the chat.
    var member = "u1"
    /// The id of a key.
    var key = "000000000000"
}

extension TestServer {
    /// Every route, and HEAD beside each GET; each under one of its names.
    var endpoints: [Endpoint] {
        // Those of users (`MembersTests`) and of their tokens' keys have suites of their own, on both backends.
        routes.filter { route in
            !route.path.hasSuffix(".json") && !route.path.contains("/jwt-keys") && !route.path.contains("/users/")
                && !route.path.hasSuffix("/revoke") && !route.path.hasSuffix("/tickets")
                // They store nothing.
                && !route.path.hasSuffix("/typing") && !route.path.hasSuffix("/presence")
        }.flatMap { route in
            (route.method == .get ? ["GET", "HEAD"] : [route.method.rawValue])
                .map { Endpoint(method: $0, pattern: route.path) }
        }
    }

    /// An application with a chat that has a message, stored without the server, so it has cached none of their ids.
    func seed() async throws -> Place {
        let token = Tenant.Token.random()
        let now = WallClock.system.now()
        _ = try await store.apply([.create(name: "seeded", token: token)], at: now)
        let tenant = try #require(try await store.id(of: token))
        let chat = try await store.append(
            [NewChat(tenant: tenant, settings: Chat.Settings(receipts: .members))], at: now)[0].get()
        _ = try await store.append([NewMessage(tenant: tenant, chat: try #require(chat.id), body: "x")], at: now)[0]
            .get()
        let place = ChatPlace(id: try #require(chat.id), number: chat.number, tenant: tenant)
        _ = try await store.apply(
            [.member(MemberChange(chat: place, user: User.ID("u1")!, role: .reader))], at: now)
        let key = AccessKey.random(.application)
        _ = try await store.apply(
            [
                .addKey(
                    ApplicationKey(
                        id: key.id, tenant: tenant, name: "k", digest: key.digest, scopes: .read, createdAt: now,
                        expiresAt: nil))
            ], at: now)
        return Place(token: token.text, key: key.id.text)
    }

    /// The tenant of the place.
    func tenant(of place: Place) async throws -> Tenant.ID {
        let token = try #require(Tenant.Token(place.token[...]))
        return try #require(try await store.id(of: token))
    }

    /// - Parameter json: in the place of the endpoint's own.
    func send(
        _ endpoint: Endpoint, _ place: Place, query: String? = nil, json: String? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        let path = endpoint.path(place, query: query)
        let headers = endpoint.headers.merging(headers) { _, given in given }
        guard let json = json ?? endpoint.json else {
            return try await client.send(endpoint.method, path, headers: headers)
        }
        return try await client.send(endpoint.method, path, json: json, headers: headers)
    }

    /// The answer is that problem, and nothing was stored.
    @discardableResult
    func expectRefusal(
        _ status: Int, _ code: String, _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
        _ request: () async throws -> Answer
    ) async throws -> Answer {
        let before = try contents()
        let answer = try await request()
        let after = try contents()
        #expect(answer.status == status, "\(what): \(answer.text)", sourceLocation: sourceLocation)
        #expect(answer["Content-Type"] == "application/problem+json", "\(what)", sourceLocation: sourceLocation)
        #expect(answer["X-Request-Id"]?.isEmpty == false, "\(what)", sourceLocation: sourceLocation)
        // The answer to HEAD has the length of a body, and none.
        if !what.hasPrefix("HEAD ") {
            #expect(answer.code == code, "\(what)", sourceLocation: sourceLocation)
            for member in ["type", "title", "status", "detail", "instance"] {
                #expect(answer.json[member] != nil, "\(what): \(member)", sourceLocation: sourceLocation)
            }
        }
        if [409, 503].contains(status) {
            let seconds = answer["Retry-After"].flatMap { Int($0) } ?? 0
            #expect(seconds > 0, "\(what): Retry-After", sourceLocation: sourceLocation)
        }
        #expect(after == before, "\(what): something was stored", sourceLocation: sourceLocation)
        return answer
    }
}
