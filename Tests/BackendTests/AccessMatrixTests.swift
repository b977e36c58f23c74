import ChatCore
import ChatHTTP
import Foundation
import HTTPTypes
import Synchronization
import TestSupport
import Testing

/// docs/access-matrix.json, row by row, on both backends: who may do what, and what the others are told.
@Suite(.timeLimit(.minutes(5))) struct AccessMatrixTests {
    private let matrix: AccessMatrix

    init() throws { matrix = try AccessMatrix() }

    @Test func everyRouteHasARow() async throws {
        let rows = Set(matrix.rows.map(\.endpoint))
        try await AccessServer.run(.sqlite) { server in
            let routes = server.routes.filter { !$0.path.hasSuffix(".json") }.map { "\($0.method) \($0.path)" }
            #expect(rows == Set(routes))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func everyRowIsTrue(_ kind: BackendKind) async throws {
        for isOpen in [false, true] {
            let clock = MatrixClock()
            try await AccessServer.run(kind, isOpen: isOpen, clock: WallClock(now: clock.now)) { [matrix] server in
                let walk = try await MatrixWalk(server, clock)
                for row in matrix.rows
                where row.server == nil || row.server == (isOpen ? "open server" : "closed server") {
                    for (principal, expected) in zip(matrix.principals, row.answers) {
                        try await walk.check(row.endpoint, as: principal, expected)
                    }
                }
                walk.checkRefusals()
            }
        }
    }

    /// What a path may call an application, and what stands in its place for a chat and a key.
    @Test(arguments: BackendKind.allCases)
    func otherNamesAreAsInTheTable(_ kind: BackendKind) async throws {
        let clock = MatrixClock()
        try await AccessServer.run(kind, clock: WallClock(now: clock.now)) { [matrix] server in
            let walk = try await MatrixWalk(server, clock)
            for row in matrix.rows where row.endpoint.contains("{token}") {
                for names in matrix.otherNames {
                    for (index, principal) in matrix.principals.enumerated() {
                        guard var expected = names.answers[index] else { continue }
                        if expected == "same" { expected = row.answers[index] ?? "" }
                        // It may show a token afterwards.
                        if row.endpoint.hasSuffix("/socket"), expected == "credentials_required" { expected = "yes" }
                        try await walk.check(row.endpoint, as: principal, at: names.name, expected)
                    }
                }
                for (principal, expected) in zip(matrix.principals, row.answers) {
                    let expected = ["yes", "insufficient_role"].contains(expected) ? "not_found" : expected
                    if row.endpoint.contains("{chat_number}") {
                        try await walk.check(row.endpoint, as: principal, chat: "77", expected)
                        try await walk.check(row.endpoint, as: principal, chat: "x", expected)
                    }
                    if row.endpoint.contains("{kid}") {
                        for key in [UserTokenKey.ID.random().text, walk.victimKey(of: walk.other), "x%20y", "%"] {
                            try await walk.check(row.endpoint, as: principal, tokenKey: key, expected)
                        }
                    }
                    if row.endpoint.contains("{key_id}") {
                        for key in [AccessKey.ID.random().text, walk.other.victim.text, "x"] {
                            try await walk.check(row.endpoint, as: principal, key: key, expected)
                        }
                    }
                }
            }
            walk.checkRefusals()
        }
    }

    /// Keys that are none, wherever a key counts.
    @Test(arguments: BackendKind.allCases)
    func badKeysAreRefusedEverywhere(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { [matrix] server in
            let walk = try await MatrixWalk(server, MatrixClock())
            let soon = WallClock.system.now().adding(.milliseconds(1))
            let expired = try await walk.own.key(.all, expiresAt: soon.adding(.seconds(1)))
            let revoked = try await walk.own.key(.all)
            _ = try await walk.own.scope.revokeKey(revoked.id.text[...])
            let key = try await walk.own.key(.all)
            let forged = AccessKey.forged(key.id, .application)
            try await eventually("it expires") { WallClock.system.now() > soon.adding(.seconds(1)) }
            for row in matrix.rows where row.answers[0] == "credentials_required" {
                for (shown, code) in [
                    (expired.text, "token_expired"), (revoked.text, "token_revoked"), (forged.text, "token_invalid"),
                    (AccessKey.random(.application).text, "token_invalid"),
                    (AccessKey.random(.admin).text, "token_invalid"),
                    (AccessKey.random(.webhook).text, "token_invalid"),
                    (String(key.text.dropLast()), "token_invalid"), ("", "token_invalid"),
                    ("eyJhbGciOiJub25lIn0.e30.", "token_invalid"),
                ] {
                    try await walk.check(row.endpoint, showing: shown, code)
                }
            }
        }
    }

    /// What users may do in a chat, over HTTP, as server-sent events and over a WebSocket.
    @Test(arguments: BackendKind.allCases)
    func rolesAreAsInTheTable(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { [matrix] scene in
            for role in matrix.roles where role != "outsider" { try await scene.set(role, role) }
            for row in matrix.inAChat {
                for (role, expected) in zip(matrix.roles, row.answers) {
                    let caller = scene.caller(role)
                    let what: Comment = "\(row.name) as \(role)"
                    let parts = row.name.split(separator: " ")
                    guard parts[1].hasPrefix("/") else {
                        let socket = try await caller.socket()
                        let type = parts[0]
                        await socket.send("{\"type\":\"\(type)\",\"chat\":1,\"body\":\"x\"}")
                        let answer = try await socket.next() ?? ""
                        let done = type == "send" ? "sent" : "subscribed"
                        #expect(answer.contains("\"\(expected == "yes" ? done : expected ?? "")\""), what)
                        continue
                    }
                    if row.name.contains("{user}") { try await scene.set("u1", "reader") }
                    let path =
                        parts[1].replacing("/applications/{token}", with: "").replacing("{chat_number}", with: "1")
                        .replacing("{message_number}", with: "1").replacing("{user}", with: "u1")
                        + (row.name.hasSuffix("/search") ? "?q=x" : "")
                    let json: [Substring: String] = [
                        "POST": #"{"body":"x"}"#, "PATCH": #"{"name":"x"}"#, "PUT": #"{"role":"reader"}"#,
                    ]
                    let answer = try await caller.send(String(parts[0]), String(path), json: json[parts[0]])
                    #expect((answer.status < 300 ? "yes" : answer.code) == expected, "\(what): \(answer.text)")
                    let statuses = ["insufficient_role": 403, "not_found": 404]
                    if let status = expected.flatMap({ statuses[$0] }) { #expect(answer.status == status, what) }
                }
            }
        }
    }

    /// The page of the documentation has the table of the data file.
    @Test func theDocumentationHasTheTable() throws {
        let page = try String(contentsOf: AccessMatrix.docs.appendingPathComponent("access.md"), encoding: .utf8)
        for table in [matrix.endpointTable, matrix.roleTable, matrix.nameTable] {
            #expect(page.contains(table), "docs/access.md must have:\n\(table)")
        }
    }
}

/// The parsed data file.
private struct AccessMatrix: Sendable {
    struct Row: Sendable {
        let endpoint: String
        /// Nil for any.
        let server: String?
        /// Nil where the principal makes no sense.
        let answers: [String?]
    }

    struct Names: Sendable {
        let name: String
        let answers: [String?]
    }

    let principals: [String]
    let rows: [Row]
    let otherNames: [Names]
    /// What users may do in a chat for members, by their roles.
    let roles: [String]
    let inAChat: [Names]

    static let docs = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../docs")

    init() throws {
        let data = try Data(contentsOf: Self.docs.appendingPathComponent("access-matrix.json"))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        principals = try #require(root["principals"] as? [String])
        rows = try #require(root["endpoints"] as? [[Any]]).map { row in
            let server = try #require(row[1] as? String)
            return Row(
                endpoint: try #require(row[0] as? String), server: server.isEmpty ? nil : server,
                answers: row.dropFirst(2).map { $0 as? String })
        }
        otherNames = try #require(root["other_names"] as? [[Any]]).map { row in
            Names(name: try #require(row[0] as? String), answers: row.dropFirst().map { $0 as? String })
        }
        roles = try #require(root["roles"] as? [String])
        inAChat = try #require(root["in_a_chat"] as? [[Any]]).map { row in
            Names(name: try #require(row[0] as? String), answers: row.dropFirst().map { $0 as? String })
        }
        for count in rows.map(\.answers.count) + otherNames.map(\.answers.count) {
            try #require(count == principals.count)
        }
    }

    var endpointTable: String {
        table("endpoint", rows.map { row in ("`\(row.endpoint)`" + (row.server.map { ", \($0)" } ?? ""), row.answers) })
    }

    var nameTable: String { table("the path has", otherNames.map { ($0.name, $0.answers) }) }

    var roleTable: String {
        table("endpoint", inAChat.map { ($0.name.contains(" /") ? "`\($0.name)`" : $0.name, $0.answers) }, of: roles)
    }

    private func table(
        _ title: String, _ rows: [(name: String, answers: [String?])], of principals: [String]? = nil
    ) -> String {
        let principals = principals ?? self.principals
        let words: [String: String] = [
            "yes": "yes", "same": "as above", "credentials_required": "401", "insufficient_scope": "403",
            "not_found": "404", "ambiguous_credentials": "400", "insufficient_role": "403",
        ]
        let header =
            "| \(title) | \(principals.joined(separator: " | ")) |\n|---|\(principals.map { _ in "---|" }.joined())"
        let lines = rows.map { row in
            "| \(row.name) | \(row.answers.map { $0.map { words[$0] ?? $0 } ?? "–" }.joined(separator: " | ")) |"
        }
        return ([header] + lines).joined(separator: "\n")
    }
}

/// Sends requests as each principal, and compares the answers.
private final class MatrixWalk: Sendable {
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
        var keys: [String: AccessKey] = [:]
        for (name, abilities) in Self.scopes { keys[name] = try await own.key(abilities) }
        self.keys = keys
        var applications: [Tenant.PathToken: AccessServer.Application] = [:]
        var others = applications
        var ownKeys: [Tenant.PathToken: [String: AccessKey]] = [:]
        for value in Tenant.PathToken.allCases {
            let application = try await server.makeApplication()
            _ = try await application.scope.update(pathToken: value)
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
    private func userToken(of application: AccessServer.Application) -> String? {
        signers[application.new.publicID.text]?.token("ada", at: clock.now())
    }

    /// - Parameters:
    ///   - place: what the path calls the application; nil for its id, or its token where that is the principal.
    ///   - expected: nil for a principal that makes no sense here.
    func check(
        _ endpoint: String, as principal: String, at place: String? = nil, chat: String = "1", key: String? = nil,
        tokenKey: String? = nil, _ expected: String?
    ) async throws {
        guard let expected else { return }
        var application = own
        var name = own.new.publicID.text
        var shown = (principal == "server key" ? server.serverKey : keys[principal])?.text
        if principal == "user" { shown = userToken(of: own) }
        switch (principal, place) {
        case ("token", nil):
            application = applications[.credential]!
            name = application.new.token.text
        case ("token as identifier", nil):
            application = applications[.identifier]!
            name = application.new.token.text
        case (_, "an unknown id"): name = Tenant.PublicID.random().text
        case (_, "an unknown token"): name = Tenant.Token.random().text
        case (_, "another application's id"): name = other.new.publicID.text
        case (_, "another application's token, a credential"): name = others[.credential]!.new.token.text
        case (_, "another application's token, an identifier"): name = others[.identifier]!.new.token.text
        case (_, "another application's token, off"): name = others[.off]!.new.token.text
        case (_, let place?):
            let value: Tenant.PathToken =
                place.hasSuffix("off") ? .off : place.hasSuffix("an identifier") ? .identifier : .credential
            application = applications[value]!
            name = application.new.token.text
            if let own = ownKeys[value]?[principal] { shown = own.text }
            if principal == "user" { shown = userToken(of: application) }
        default: break
        }
        if expected == "yes", endpoint.contains("/members/{user}") {
            _ = try await application.scope.chat(chat[...]).setMember(User.ID("u1")!, role: .reader)
        }
        let answer = try await send(
            endpoint, name, chat: chat, key: key ?? application.victim.text,
            tokenKey: tokenKey ?? victimKey(of: application), authorization: shown.map { "Bearer \($0)" })
        expect(answer, expected, "\(endpoint) as \(principal) at \(place ?? "its own name"), chat \(chat)")
        if expected == "yes" { try await undo(endpoint, application) }
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
        let isHarmless = path.hasSuffix("{user}")
        path = path.replacing("{user}", with: isHarmless ? "ada" : "victim")
        if path.hasSuffix("/search") { path += "?q=x" }
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
            path.hasSuffix("/messages")
            ? #"{"body":"x"}"#
            : path.contains("/members/")
                ? #"{"role":"member"}"#
                : path.contains("/jwt-keys/")
                    ? #"{"state":"revoked"}"#
                    : path.hasSuffix("/keys") ? #"{"name":"x","scopes":["read"]}"# : #"{"name":"x"}"#
        return try await server.client.send(String(parts[0]), String(path), json: json, headers: headers)
    }
}

/// The server's clock.
private final class MatrixClock: Sendable {
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
