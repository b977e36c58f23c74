import ChatCore
import ChatHTTP
import Foundation
import TestSupport
import Testing

/// docs/access-matrix.json, row by row, on both backends: who may do what, and what the others are told.
@Suite(.timeLimit(.minutes(5))) struct AccessMatrixTests {
    private let matrix: AccessMatrix

    init() throws { matrix = try AccessMatrix() }

    @Test func everyRouteHasARow() async throws {
        let rows = Set(matrix.rows.map(\.endpoint))
        try await AccessServer.run(.sqlite, isOpen: true) { server in
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
            for row in matrix.rows where row.endpoint.contains("{token}") && row.server == nil {
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
            for row in matrix.rows
            where row.server != "open server" && row.answers[0] == "credentials_required" {
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
            let rows = matrix.inAChat.map { ("members", $0) } + matrix.inAnOpenChat.map { ("open", $0) }
            for (access, row) in rows {
                let set = try await scene.admin.send(
                    "PATCH", "/chats/1", json: "{\"access\":\"\(access)\",\"receipts\":\"members\"}")
                #expect(set.status == 200)
                for (role, expected) in zip(matrix.roles, row.answers) {
                    let caller = scene.caller(role)
                    let what: Comment = "\(row.name) as \(role), access \(access)"
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
                        + (row.name.hasSuffix("/search") ? "?q=x" : row.name.hasSuffix("/changes") ? "?after=0" : "")
                    let json: [Substring: String] = [
                        "POST": #"{"body":"x"}"#, "PATCH": #"{"name":"x","metadata":{"a":1}}"#,
                        "PUT": #"{"role":"reader","number":1}"#,
                    ]
                    let answer = try await caller.send(String(parts[0]), String(path), json: json[parts[0]])
                    #expect((answer.status < 300 ? "yes" : answer.code) == expected, "\(what): \(answer.text)")
                    let statuses = ["insufficient_role": 403, "not_found": 404]
                    if let status = expected.flatMap({ statuses[$0] }) { #expect(answer.status == status, what) }
                }
            }
        }
    }

    /// Who may read and send over HTTP, as server-sent events and over a WebSocket; tickets and tokens for some chats, too.
    @Test(arguments: BackendKind.allCases)
    func transportsAreAsInTheTable(_ kind: BackendKind) async throws {
        let clock = MatrixClock()
        try await AccessServer.run(kind, clock: WallClock(now: clock.now)) { [matrix] server in
            let walk = try await MatrixWalk(server, clock)
            for row in matrix.live {
                for (principal, expected) in zip(matrix.livePrincipals, row.answers) {
                    try await walk.checkLive(row.name, as: principal, expected)
                }
            }
            walk.checkRefusals()
        }
    }

    /// The page of the documentation has the table of the data file.
    @Test func theDocumentationHasTheTable() throws {
        let page = try String(contentsOf: AccessMatrix.docs.appendingPathComponent("access.md"), encoding: .utf8)
        for table in [matrix.endpointTable, matrix.nameTable, matrix.liveTable] + matrix.roleTables {
            #expect(page.contains(table), "docs/access.md must have:\n\(table)")
        }
    }
}
