import ChatHTTP
import Foundation
import TestSupport
import Testing

/// What users may do in a chat by their roles there, as docs/access-matrix.json says.
@Suite(.timeLimit(.minutes(5))) struct RoleMatrixTests {
    private let matrix: AccessMatrix

    init() throws { matrix = try AccessMatrix() }

    /// Whoever adds a route in a chat says who may use it.
    @Test func everyRouteInAChatHasARow() async throws {
        try await AccessServer.run(.sqlite) { [matrix] server in
            let routes = server.routes.filter { $0.path.contains("{chat_number}") && !$0.path.hasSuffix(".json") }
                .map { "\($0.method) \($0.path)" }
            for rows in [matrix.inAChat, matrix.inAnOpenChat] {
                #expect(Set(rows.map(\.name).filter { $0.contains(" /") }) == Set(routes))
            }
            // And each of the two has the same that are no routes.
            #expect(matrix.inAChat.map(\.name).sorted() == matrix.inAnOpenChat.map(\.name).sorted())
        }
    }

    /// Over HTTP, as server-sent events and over a WebSocket.
    @Test(arguments: BackendKind.allCases)
    func rolesAreAsInTheTable(_ kind: BackendKind) async throws {
        try await MembersTests.run(kind) { [matrix] scene in
            for role in matrix.roles where role != "outsider" { try await scene.set(role, role) }
            // The last owner could not leave.
            try await scene.set("founder", "owner")
            let rows = matrix.inAChat.map { ("members", $0) } + matrix.inAnOpenChat.map { ("open", $0) }
            for (access, row) in rows {
                let set = try await scene.admin.send(
                    "PATCH", "/chats/1", json: "{\"access\":\"\(access)\",\"receipts\":\"members\"}")
                #expect(set.status == 200)
                for (role, expected) in zip(matrix.roles, row.answers) {
                    let what: Comment = "\(row.name) as \(role), access \(access)"
                    guard !row.name.hasSuffix("over a WebSocket") else {
                        try await checkSocket(row.name, scene.caller(role), expected, what)
                        continue
                    }
                    let request = try await Request(row.name, role, scene)
                    let answer = try await scene.caller(role).send(request.method, request.path, json: request.json)
                    #expect((answer.status < 300 ? "yes" : answer.code) == expected, "\(what): \(answer.text)")
                    let statuses = ["insufficient_role": 403, "not_found": 404]
                    if let status = expected.flatMap({ statuses[$0] }) { #expect(answer.status == status, what) }
                    if row.name.contains("itself"), expected == "yes" { try await scene.set(role, role) }
                }
            }
        }
    }

    private func checkSocket(
        _ row: String, _ caller: MembersTests.Caller, _ expected: String?, _ what: Comment
    ) async throws {
        let socket = try await caller.socket()
        let type = row.prefix { $0 != " " }
        await socket.send("{\"type\":\"\(type)\",\"chat\":1,\"body\":\"x\"}")
        let answer = try await socket.next() ?? ""
        let done = type == "send" ? "sent" : "subscribed"
        #expect(answer.contains("\"\(expected == "yes" ? done : expected ?? "")\""), what)
    }

    private struct Request {
        let method: String
        let path: String
        let json: String?

        /// - Parameter row: a route, or what is done in words.
        init(_ row: String, _ user: String, _ scene: MembersTests.Scene) async throws {
            let words = row.split(separator: " ", maxSplits: 1).map(String.init)
            var rest = words[1]
            var json = ["POST": #"{"body":"x"}"#, "PATCH": #"{"name":"x"}"#, "PUT": #"{"role":"reader","number":1}"#][
                words[0]]
            if rest.contains("{message_number}") {
                json = json.map { _ in #"{"metadata":{"a":1}}"# }
            } else if rest.hasPrefix("the text of ") {
                json = #"{"body":"changed"}"#
            } else if rest.hasPrefix("the metadata of ") {
                json = #"{"metadata":{"a":1}}"#
            } else if rest == "an unknown message" {
                json = json.map { _ in #"{"body":"changed"}"# }
            } else if rest == "itself as an owner" {
                json = #"{"role":"owner"}"#
            }
            if rest.contains("{user}") { try await scene.set("u1", "reader") }
            var number = 999_999
            if rest.contains("{message_number}") || rest.hasSuffix("its own message")
                || rest.hasSuffix("another's message")
            {
                // Whatever was done to the others.
                let sender = rest.hasSuffix("its own message") ? user : "somebody"
                let made = try await scene.admin.send(
                    "POST", "/chats/1/messages", json: "{\"body\":\"x\",\"sender\":\"\(sender)\"}")
                number = try #require(made.json["message_number"] as? Int)
            }
            let message = "/chats/1/messages/\(number)"
            switch rest {
            case "the versions of an unknown message": rest = message + "/versions"
            case _ where rest.hasSuffix(" message"): rest = message
            case _ where rest.hasPrefix("itself "): rest = "/chats/1/members/\(user)"
            case _ where rest.hasPrefix("an unknown "): rest = "/chats/1/members/unknown-\(UUID())"
            default:
                rest = rest.replacing("/applications/{token}", with: "").replacing("{chat_number}", with: "1")
                    .replacing("{message_number}", with: "\(number)").replacing("{user}", with: "u1")
                    .replacing("{reaction}", with: "x")
                if rest.hasSuffix("/search") { rest += "?q=x" }
                if rest.hasSuffix("/reactions") { rest += "?name=x" }
                if rest.hasSuffix("/changes") { rest += "?after=0" }
            }
            (method, path, self.json) = (words[0], rest, json)
        }
    }
}
