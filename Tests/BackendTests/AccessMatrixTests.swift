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

    /// What is not there looks the same to all who may ask for it; what belongs to another user is that user's.
    @Test(arguments: BackendKind.allCases)
    func otherThingsAreAsInTheTable(_ kind: BackendKind) async throws {
        let clock = MatrixClock()
        try await AccessServer.run(kind, clock: WallClock(now: clock.now)) { [matrix] server in
            let walk = try await MatrixWalk(server, clock)
            for row in matrix.otherThings {
                for (principal, expected) in zip(matrix.principals, row.answers) {
                    try await walk.check(row.endpoint, as: principal, with: row.thing, expected)
                }
            }
            walk.checkRefusals()
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
        for table in [matrix.endpointTable, matrix.thingTable, matrix.nameTable, matrix.liveTable] + matrix.roleTables {
            #expect(page.contains(table), "docs/access.md must have:\n\(table)")
        }
    }
}
