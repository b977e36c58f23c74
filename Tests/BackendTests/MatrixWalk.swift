import ChatCore
import Foundation
import HTTPTypes
import Synchronization
import TestSupport
import Testing

/// Sends requests as each principal, and compares the answers.
final class MatrixWalk: Sendable {
    let server: AccessServer
    let own: AccessServer.Application
    let other: AccessServer.Application
    private let applications: [Tenant.PathToken: AccessServer.Application]
    private let others: [Tenant.PathToken: AccessServer.Application]
    private let keys: [String: AccessKey]
    private let clock: MatrixClock
    /// By public id.
    private let signers: [String: SignedUsers]
    private let victimKeys: [String: UserTokenKey.ID]
    /// The keys of the applications whose tokens are something else, by application and scope.
    private let ownKeys: [Tenant.PathToken: [String: AccessKey]]
    nonisolated(unsafe) private var refusals: [String: Set<[String]>] = [:]
    private static let scopes: [(name: String, abilities: Abilities)] = [
        ("read", .read), ("write", .write), ("members", .members), ("admin", .admin),
    ]

    init(_ server: AccessServer, _ clock: MatrixClock) async throws {
        self.server = server
        self.clock = clock
        own = try await server.makeApplication()
        other = try await server.makeApplication()
        for application in [own, other] {
            _ = try await application.scope.update(rules: RulesChange(presence: .users))
            _ = try await application.scope.chat("1").update(Chat.Patch(receipts: .members))
        }
        var keys: [String: AccessKey] = [:]
        for (name, abilities) in Self.scopes { keys[name] = try await own.key(abilities) }
        self.keys = keys
        var applications: [Tenant.PathToken: AccessServer.Application] = [:]
        var others = applications
        var ownKeys: [Tenant.PathToken: [String: AccessKey]] = [:]
        for value in Tenant.PathToken.allCases {
            let application = try await server.makeApplication()
            _ = try await application.scope.update(pathToken: value, rules: RulesChange(presence: .users))
            _ = try await application.scope.chat("1").update(Chat.Patch(receipts: .members))
            applications[value] = application
            ownKeys[value] = [:]
            for (name, abilities) in Self.scopes { ownKeys[value]?[name] = try await application.key(abilities) }
            others[value] = try await server.makeApplication()
            _ = try await others[value]?.scope.update(pathToken: value)
        }
        self.applications = applications
        self.others = others
        self.ownKeys = ownKeys
        var signers: [String: SignedUsers] = [:]
        var victimKeys: [String: UserTokenKey.ID] = [:]
        for application in [own, other] + applications.values + others.values {
            let id = application.new.publicID.text
            signers[id] = try await SignedUsers(server, application)
            victimKeys[id] = try await application.scope.createTokenKey().key.id
            for user in ["ada", "victim"] {
                _ = try await application.scope.putUser(User.ID(user)!, name: nil, metadata: nil)
            }
        }
        self.signers = signers
        self.victimKeys = victimKeys
    }

    func victimKey(of application: AccessServer.Application) -> String {
        victimKeys[application.new.publicID.text]?.text ?? ""
    }

    /// A token of the user that the matrix calls `user`.
    private func userToken(of application: AccessServer.Application, chats: [Int64]? = nil) -> String? {
        signers[application.new.publicID.text]?.token("ada", at: clock.now(), chats: chats)
    }

    /// What a principal's requests have.
    private struct Caller {
        var application: AccessServer.Application
        /// What the path calls it.
        var name: String
        /// Behind `Bearer`.
        var shown: String?
    }

    private func caller(_ principal: String, at place: String?) -> Caller {
        var caller = Caller(
            application: own, name: own.new.publicID.text,
            shown: (principal == "server key" ? server.serverKey : keys[principal])?.text)
        if principal == "user" { caller.shown = userToken(of: own) }
        switch (principal, place) {
        case ("token", nil):
            caller.application = applications[.credential]!
            caller.name = caller.application.new.token.text
        case ("token as identifier", nil):
            caller.application = applications[.identifier]!
            caller.name = caller.application.new.token.text
        case (_, "an unknown id"): caller.name = Tenant.PublicID.random().text
        case (_, "an unknown token"): caller.name = Tenant.Token.random().text
        case (_, "another application's id"): caller.name = other.new.publicID.text
        case (_, "another application's token, a credential"): caller.name = others[.credential]!.new.token.text
        case (_, "another application's token, an identifier"): caller.name = others[.identifier]!.new.token.text
        case (_, "another application's token, off"): caller.name = others[.off]!.new.token.text
        case (_, let place?):
            let value: Tenant.PathToken =
                place.hasSuffix("off") ? .off : place.hasSuffix("an identifier") ? .identifier : .credential
            caller.application = applications[value]!
            caller.name = caller.application.new.token.text
            if let own = ownKeys[value]?[principal] { caller.shown = own.text }
            if principal == "user" { caller.shown = userToken(of: caller.application) }
        default: break
        }
        return caller
    }

    /// - Parameters:
    ///   - place: what the path calls the application; nil for its id, or its token where that is the principal.
    ///   - thing: what the path has instead of a user's own, or of a message that is there.
    ///   - expected: nil for a principal that makes no sense here.
    func check(
        _ endpoint: String, as principal: String, at place: String? = nil, chat: String = "1", key: String? = nil,
        tokenKey: String? = nil, with thing: String? = nil, _ expected: String?
    ) async throws {
        guard let expected else { return }
        let caller = caller(principal, at: place)
        let application = caller.application
        if expected == "yes", thing == nil, endpoint.contains("/members/{user}") {
            _ = try await application.scope.chat(chat[...]).setMember(User.ID("u1")!, role: .reader)
        }
        // Each of these is unknown once.
        let user = thing == "another user" ? "victim" : "unknown-\(UUID())"
        let named = thing.map { thing in
            endpoint.replacing("{message_number}", with: thing == "an unknown message" ? "99" : "1")
                .replacing("{user}", with: user)
        }
        let answer = try await send(
            named ?? endpoint, caller.name, chat: chat, key: key ?? application.victim.text,
            tokenKey: tokenKey ?? victimKey(of: application), authorization: caller.shown.map { "Bearer \($0)" })
        let what = thing ?? "chat \(chat)"
        expect(answer, expected, "\(endpoint) as \(principal) at \(place ?? "its own name"), \(what)")
        if expected == "yes" { try await undo(endpoint, application) }
    }

    /// What a principal gets of chat 1 over a transport.
    func checkLive(_ row: String, as principal: String, _ expected: String?) async throws {
        guard let expected else { return }
        let what: Comment = "\(row) as \(principal)"
        let isForOthers = principal.hasSuffix(" for other chats")
        let kind = principal.replacing(" for other chats", with: "")
        var caller = caller(kind, at: nil)
        let numbers: [Int64]? = isForOthers ? [2] : nil
        var query = ""
        if kind == "user" { caller.shown = userToken(of: own, chats: numbers) }
        if kind == "ticket" {
            let made = try await server.client.post(
                "/applications/\(own.new.publicID)/tickets", json: "{\"chats\":[\(isForOthers ? 2 : 1)]}",
                headers: ["Authorization": "Bearer \(userToken(of: own) ?? "")"])
            query = "?ticket=\(try #require(made.json["ticket"] as? String))"
        }
        var headers: [String: String] = [:]
        headers["Authorization"] = caller.shown.map { "Bearer \($0)" }
        let path = "/applications/\(caller.name)"
        let chat = row.hasSuffix(", an unknown chat") ? "77" : "1"
        let row = String(row.prefix { $0 != "," })
        guard row.hasSuffix("over a WebSocket") else {
            let rest = String(row.split(separator: " ")[1]).replacing("/applications/{token}", with: "")
                .replacing("{chat_number}", with: chat)
            if rest.hasSuffix("/stream") {
                let stream = try await LiveClient(server.client.port, path + rest + query, headers: headers)
                if stream.status == 200 {
                    #expect(try await stream.next()?.contains("event: cursor") == true, what)
                    #expect(expected == "yes", what)
                    return
                }
            }
            let answer = try await server.client.get(path + rest + query, headers: headers)
            return expect(answer, expected, "\(row) as \(principal)")
        }
        let socket = try await LiveClient(
            server.client.port, path + "/socket" + query, headers: headers, isSocket: true)
        guard socket.status == 101 else {
            #expect(socket.status == 403 && expected == "insufficient_scope", what)
            return
        }
        let type = String(row.prefix { $0 != " " })
        await socket.send("{\"type\":\"\(type)\",\"chat\":\(chat),\"body\":\"x\"}")
        let answer = try await socket.next() ?? ""
        let done = type == "send" ? "sent" : "subscribed"
        switch expected {
        case "yes": #expect(answer.contains("\"type\":\"\(done)\""), "\(what): \(answer)")
        // It may show a token before anything else.
        case "credentials_required": #expect(answer.contains("The first message must show a token"), what)
        default: #expect(answer.contains("\"code\":\"\(expected)\""), "\(what): \(answer)")
        }
    }

    /// What would change the answers to the next requests.
    private func undo(_ endpoint: String, _ application: AccessServer.Application) async throws {
        switch endpoint {
        case "DELETE /applications/{token}", "POST /applications/{token}/suspension":
            _ = try await application.scope.resume()
        case "POST /applications/{token}/jwt-keys":
            let id = application.new.publicID.text
            for key in try await application.scope.tokenKeys()
            where key.revokedAt == nil && key.key.id != signers[id]?.key.id && key.key.id != victimKeys[id] {
                _ = try await application.scope.endTokenKey(key.key.id, .revoked)
            }
        // Tokens of a moment later are taken again.
        case "POST /applications/{token}/revoke": clock.advance(.seconds(10))
        case "POST /applications/{token}/rotate": try await server.takeBack(application.new.token, of: application)
        default: break
        }
    }

    /// The same with anything behind `Bearer`.
    func check(_ endpoint: String, showing text: String, _ expected: String) async throws {
        let answer = try await send(
            endpoint, own.new.publicID.text, chat: "1", key: own.victim.text, tokenKey: victimKey(of: own),
            authorization: "Bearer \(text)")
        expect(answer, expected, "\(endpoint) with \(text.prefix(20))")
    }

    /// All answers of a code are the same, whatever is asked for, so that they tell nothing.
    func checkRefusals() { for (code, shapes) in refusals { #expect(shapes.count == 1, "\(code): \(shapes)") } }

    private func expect(_ answer: Answer, _ expected: String, _ what: String) {
        let statuses = [
            "credentials_required": 401, "token_invalid": 401, "token_expired": 401, "token_revoked": 401,
            "insufficient_scope": 403, "not_found": 404, "ambiguous_credentials": 400,
            "insufficient_role": 403,
        ]
        guard expected != "yes" else {
            #expect(answer.status < 300, "\(what): \(answer.status) \(answer.text)")
            return
        }
        #expect(
            answer.status == statuses[expected] && answer.code == expected, "\(what): \(answer.status) \(answer.text)")
        let challenge =
            answer.status == 401
            ? (expected == "credentials_required" ? "Bearer" : "Bearer error=\"invalid_token\"") : nil
        #expect(answer["WWW-Authenticate"] == challenge, "\(what)")
        refusals[expected, default: []].insert(answer.shape)
    }

    private func send(
        _ endpoint: String, _ name: String, chat: String, key: String, tokenKey: String, authorization: String?
    ) async throws -> Answer {
        let parts = endpoint.split(separator: " ")
        var path = String(parts[1]).replacing("{token}", with: name).replacing("{chat_number}", with: chat)
            .replacing("{message_number}", with: "1").replacing("{key_id}", with: key)
            .replacing("/members/{user}", with: "/members/u1").replacing("{kid}", with: tokenKey)
        // What shuts a user out is done to another one.
        let isHarmless = path.hasSuffix("{user}") || path.hasSuffix("{user}/chats")
        path = path.replacing("{user}", with: isHarmless ? "ada" : "victim")
        if path.hasSuffix("/search") { path += "?q=x" }
        if path.hasSuffix("/reactions") { path += "?name=x" }
        if path.hasSuffix("/presence") { path += "?users=ada" }
        path = path.replacing("/reactions/{reaction}", with: "/reactions/x?user=ada")
        if path.hasSuffix("/changes") { path += "?after=0" }
        if path.hasSuffix("/read") || path.hasSuffix("/typing") { path += "?user=ada" }
        var headers: [String: String] = [:]
        headers["Authorization"] = authorization
        if path.hasSuffix("/socket") {
            headers.merge([
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            ]) { $1 }
        }
        guard parts[0] != "GET", parts[0] != "DELETE" else {
            return try await server.client.send(String(parts[0]), String(path), headers: headers)
        }
        let json =
            path.hasSuffix("/messages") || path.contains("/messages/") || path.hasSuffix("/demo-tokens")
            ? #"{"body":"x","user":"ada"}"#
            : path.contains("/members/")
                ? #"{"role":"member"}"#
                : path.contains("/jwt-keys/")
                    ? #"{"state":"revoked"}"#
                    : path.hasSuffix("/keys") ? #"{"name":"x","scopes":["read"]}"# : #"{"name":"x","number":1}"#
        return try await server.client.send(String(parts[0]), String(path), json: json, headers: headers)
    }
}

/// The server's clock.
final class MatrixClock: Sendable {
    private let time = Mutex(WallClock.system.now())

    func now() -> Timestamp { time.withLock(\.self) }

    func advance(_ duration: Duration) { time.withLock { $0 = $0.adding(duration) } }
}

extension AccessKey {
    /// A key with that id and another secret.
    static func forged(_ id: ID, _ kind: Kind) -> AccessKey {
        // The checksum is no secret: an attacker can make a right one.
        let body =
            Array("lq_\(kind.rawValue)_\(id)_".utf8) + Array(AccessKey.random(kind).text.utf8.dropFirst(20).prefix(43))
        var crc: UInt32 = ~0
        for byte in body {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        var (rest, digits) = (~crc, [UInt8]())
        let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        for _ in 0..<6 {
            digits.insert(alphabet[Int(rest % 62)], at: 0)
            rest /= 62
        }
        return AccessKey(String(decoding: body + digits, as: UTF8.self))!
    }
}
