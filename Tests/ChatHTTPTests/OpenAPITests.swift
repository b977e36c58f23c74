import ChatCore
import ChatHTTP
import Foundation
import HTTPTypes
import TestSupport
import Testing
import Yams

/// openapi.yaml against the server: the same routes, and examples that are true.
@Suite(.timeLimit(.minutes(3))) struct OpenAPITests {
    private let document: OpenAPIDocument
    /// With everything that any server has.
    private static let policy = AccessPolicy(adminKeys: [TestServer.adminKey], isOpen: true, takesDemoKeys: true)

    init() throws { document = try OpenAPIDocument() }

    @Test func hasTheRoutesOfTheRouter() async throws {
        let documented = Set(document.operations.map { "\($0.method) \($0.path)" })
        try await TestServer.run(policy: Self.policy) { server in
            let registered = Set(server.routes.map { "\($0.method.rawValue) \($0.path)" })
            let withSuffix = document.operations.filter(\.hasJSONSuffix).map { "\($0.method) \($0.path).json" }
            #expect(documented.union(withSuffix) == registered)
        }
    }

    /// What each operation asks for is what docs/access-matrix.json says, which is tested.
    @Test func credentialsAreThoseOfTheMatrix() throws {
        let matrix = try AccessRows()
        var count = 0
        // Streams also take tickets, and tokens in other places.
        for operation in document.operations where !operation.path.hasSuffix("/stream") && !operation.isSocket {
            let name = "\(operation.method) \(operation.path)"
            let allowed = try #require(matrix.allowed[name], "\(name)")
            var expected: Set<[String: [String]]> = []
            if allowed.contains("token") || name == "POST /applications" { expected.insert([:]) }
            if allowed.contains("server key") { expected.insert(["serverKey": []]) }
            if name != "POST /applications" {
                for scope in ["read", "write", "members", "admin"] where allowed.contains(scope) {
                    expected.insert(["applicationKey": [scope]])
                }
                if allowed.contains("user") { expected.insert(["userToken": []]) }
            }
            if allowed.contains("none"), !operation.path.hasPrefix("/applications") { expected = [] }
            #expect(operation.security.map { Set($0) } == expected, "\(name)")
            count += 1
        }
        #expect(count > 50)
    }

    @Test func itsOwnExamplesAreValid() throws {
        var count = 0
        for operation in document.operations {
            for (status, media) in operation.answers {
                guard let example = media["example"], let schema = media["schema"] else { continue }
                count += 1
                let problems = document.problems(of: example, against: schema)
                #expect(problems.isEmpty, "\(operation.method) \(operation.path) \(status): \(problems)")
            }
        }
        #expect(count > 20)
    }

    /// Every operation, sent as its example says: the answer is what the document promises.
    @Test func answersAreAsDocumented() async throws {
        let document = document
        try await TestServer.run(policy: Self.policy) { server in
            // A user's own chats need a user's token.
            for operation in document.operations where !operation.path.contains("/users/me") {
                let chat = try await server.client.makeChat()
                _ = try await server.client.post(chat + "/messages", json: #"{"body":"hello world, hi"}"#)
                _ = try await server.client.send("PUT", chat + "/members/u1", json: #"{"role":"reader"}"#)
                _ = try await server.client.send("PATCH", chat, json: #"{"receipts":"members"}"#)
                _ = try await server.client.send("PATCH", server.application(chat), json: #"{"presence":"users"}"#)
                let key = try await server.client.post(
                    server.application(chat) + "/keys", json: #"{"name":"k","scopes":["read"]}"#)
                let tokenKey = try await server.client.post(server.application(chat) + "/jwt-keys", json: "{}")
                _ = try await server.client.send("PUT", server.application(chat) + "/users/u1", json: "{}")
                let token = chat.split(separator: "/")[1]
                let path = operation.path.replacing("{token}", with: token).replacing("{chat_number}", with: "1")
                    .replacing("{message_number}", with: "1")
                    .replacing("{key_id}", with: key.json["id"] as? String ?? "")
                    .replacing("{kid}", with: tokenKey.json["kid"] as? String ?? "").replacing("{user}", with: "u1")
                let queries: [Substring: String] = [
                    "search": "?q=h", "changes": "?after=0", "read": "?user=u1", "typing": "?user=u1",
                    "reactions": "?name=ok", "{reaction}": "?user=u1", "presence": "?users=u1",
                ]
                let query = queries[operation.path.split(separator: "/").last ?? ""] ?? ""
                let answer =
                    if let example = operation.requestExample {
                        try await server.client.send(
                            operation.method, path + query,
                            json: String(decoding: try JSONSerialization.data(withJSONObject: example), as: UTF8.self))
                    } else {
                        try await server.client.send(operation.method, path + query, headers: operation.headers)
                    }
                let isForUsers = operation.path.hasSuffix("/users/me") || operation.path.hasSuffix("/tickets")
                #expect(
                    answer.status < 300 || operation.path.hasSuffix("/socket") || isForUsers, "\(operation.path)")
                try document.expect(answer, isPromisedBy: operation)
            }
        }
    }

    @Test func refusalsAreAsDocumented() async throws {
        let document = document
        try await TestServer.run(policy: Self.policy) { server in
            let nobody = String(repeating: "0", count: 32)
            for operation in document.operations where operation.path.contains("{token}") {
                let path = operation.path.replacing("{token}", with: nobody).replacing("{chat_number}", with: "1")
                    .replacing("{message_number}", with: "1").replacing("{key_id}", with: "000000000000")
                    .replacing("{kid}", with: "k").replacing("{user}", with: "u1")
                try document.expect(try await server.client.send(operation.method, path), isPromisedBy: operation)
                // Without a key, with a wrong one, with one of a scope that does not open it, and with two.
                let known = path.replacing(nobody, with: Tenant.PublicID.random().text)
                let wrong = AccessKey.random(.application).text
                for headers in [[:], ["Authorization": "Bearer \(wrong)"], ["Authorization": "Bearer x"]] {
                    let answer = try await server.client.send(operation.method, known, headers: headers)
                    #expect(answer.status == 401, "\(operation.path)")
                    try document.expect(answer, isPromisedBy: operation)
                }
                let chat = try await server.client.makeChat()
                let isOfUsers =
                    path.contains("/users") && !path.hasSuffix("/chats") || path.contains("/members")
                    || path.hasSuffix("/revoke")
                let scope = isOfUsers ? "read" : "members"
                let key =
                    try await server.client.post(
                        server.application(chat) + "/keys", json: #"{"name":"k","scopes":["\#(scope)"]}"#
                    ).json["key"] as? String ?? ""
                let own = path.replacing(nobody, with: chat.split(separator: "/")[1])
                let forbidden = try await server.client.send(
                    operation.method, own, headers: ["Authorization": "Bearer \(key)"])
                #expect(forbidden.status == 403, "\(operation.path)")
                try document.expect(forbidden, isPromisedBy: operation)
                let other = try await server.client.makeApplication("other").split(separator: "/")[1]
                let ambiguous = try await server.client.send(
                    operation.method, path.replacing(nobody, with: other), headers: ["Authorization": "Bearer \(key)"])
                #expect(ambiguous.status == 400 && ambiguous.code == "ambiguous_credentials", "\(operation.path)")
                try document.expect(ambiguous, isPromisedBy: operation)
            }
            let chat = try await server.client.makeChat()
            for operation in document.operations where operation.requestExample != nil {
                let token = chat.split(separator: "/")[1]
                let path = operation.path.replacing("{token}", with: token).replacing("{chat_number}", with: "1")
                    .replacing("{user}", with: "u1")
                for (json, type) in [
                    ("[", "application/json"), ("{}", "application/json"),
                    (#"{"name":"","body":""}"#, "application/json"),
                    ("x", "text/plain"), (String(repeating: " ", count: 300_000), "application/json"),
                ] where operation.method != "POST" || !operation.path.hasSuffix("/chats") || json != "{}" {
                    let answer = try await server.client.send(
                        operation.method, path, json: json, headers: ["Content-Type": type])
                    try document.expect(answer, isPromisedBy: operation)
                }
            }
        }
    }
}

/// The parsed document, with as much of JSON Schema as it uses.
struct OpenAPIDocument: @unchecked Sendable {
    struct Operation {
        let method: String
        let path: String
        let requestExample: Any?
        /// What it needs beside the path.
        var headers: [String: String] {
            let needsServerKey =
                method == "GET" && path == "/applications" || method == "DELETE" && path == "/applications/{token}"
                || path.hasSuffix("/suspension")
            return needsServerKey ? ["Authorization": "Bearer \(TestServer.adminKey.text)"] : [:]
        }
        var isSocket: Bool { path.hasSuffix("/socket") }
        /// The alternatives, each with its schemes and their scopes.
        let security: [[String: [String]]]?
        /// Whether the path also ends with `.json`.
        let hasJSONSuffix: Bool
        /// By status, the media type object; empty where the answer is no JSON.
        let answers: [String: [String: Any]]
        /// By status, the content types.
        let types: [String: [String]]
    }

    private let root: [String: Any]
    let operations: [Operation]

    init() throws {
        let text = try String(contentsOfFile: Self.path, encoding: .utf8)
        let root = try #require(try Yams.load(yaml: text) as? [String: Any])
        self.root = root
        var operations: [Operation] = []
        for (path, item) in try #require(root["paths"] as? [String: [String: Any]]) {
            for (method, value) in item where method != "parameters" {
                let operation = try #require(value as? [String: Any])
                var answers: [String: [String: Any]] = [:]
                var types: [String: [String]] = [:]
                for (status, value) in try #require(operation["responses"] as? [AnyHashable: Any]) {
                    let response = Self.resolved(value, root)
                    let content = response["content"] as? [String: [String: Any]] ?? [:]
                    types["\(status)"] = Array(content.keys)
                    // The same is labelled in two ways for some clients, and one of the two has the example.
                    let media = content.filter { $0.key.hasSuffix("json") }.sorted { $0.key < $1.key }.map(\.value)
                    answers["\(status)"] = media.first { $0["example"] != nil } ?? media.first ?? [:]
                }
                let request =
                    Self.resolved(operation["requestBody"] ?? [:], root)["content"] as? [String: [String: Any]]
                operations.append(
                    Operation(
                        method: method.uppercased(), path: path,
                        requestExample: request?["application/json"]?["example"],
                        security: operation["security"] as? [[String: [String]]],
                        hasJSONSuffix: operation["x-json-suffix"] as? Bool ?? false,
                        answers: answers, types: types))
            }
        }
        self.operations = operations.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
    }

    private static var path: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../Sources/ChatHTTP/Resources/openapi.yaml").path
    }

    /// The status is documented, the content type is among its types, the body fits the schema.
    func expect(_ answer: Answer, isPromisedBy operation: Operation) throws {
        let name = "\(operation.method) \(operation.path) \(answer.status)"
        let types = try #require(operation.types["\(answer.status)"], "\(name) is not documented: \(answer.text)")
        let type = String((answer["Content-Type"] ?? "").prefix { $0 != ";" })
        #expect(types.contains(type) || types.isEmpty && type.isEmpty, "\(name): \(type)")
        guard type.hasSuffix("json"), let schema = operation.answers["\(answer.status)"]?["schema"] else { return }
        let problems = problems(of: try #require(answer.parsed), against: schema)
        #expect(problems.isEmpty, "\(name): \(problems)")
    }

    /// What keeps a value from fitting a schema; empty when it fits.
    func problems(of value: Any, against schema: Any, at place: String = "$") -> [String] {
        let schema = Self.resolved(schema, root)
        var problems: [String] = []
        if let allowed = schema["enum"] as? [String], !allowed.contains("\(value)") {
            problems.append("\(place): enum")
        }
        switch schema["type"] as? String {
        case "object":
            guard let object = value as? [String: Any] else { return ["\(place) is no object"] }
            for name in schema["required"] as? [String] ?? [] where object[name] == nil {
                problems.append("\(place).\(name) is missing")
            }
            let properties = schema["properties"] as? [String: Any] ?? [:]
            for (name, value) in object {
                guard let property = properties[name] else { continue }
                problems += self.problems(of: value, against: property, at: "\(place).\(name)")
            }
        case "array":
            guard let array = value as? [Any] else { return ["\(place) is no array"] }
            for (index, element) in array.enumerated() {
                problems += self.problems(of: element, against: schema["items"] ?? [:], at: "\(place)[\(index)]")
            }
        case "string":
            guard let text = value as? String else { return ["\(place) is no string"] }
            if let pattern = schema["pattern"] as? String, text.range(of: pattern, options: .regularExpression) == nil {
                problems.append("\(place) does not match \(pattern)")
            }
            if let least = schema["minLength"] as? Int, text.unicodeScalars.count < least {
                problems.append("\(place): short")
            }
            if let most = schema["maxLength"] as? Int, text.unicodeScalars.count > most {
                problems.append("\(place): long")
            }
        case "integer":
            guard let number = value as? Int else { return ["\(place) is no integer"] }
            if let least = schema["minimum"] as? Int, number < least { problems.append("\(place): small") }
            if let most = schema["maximum"] as? Int, number > most { problems.append("\(place): large") }
        default: break
        }
        return problems
    }

    private static func resolved(_ value: Any, _ root: [String: Any]) -> [String: Any] {
        guard var object = value as? [String: Any] else { return [:] }
        while let reference = object["$ref"] as? String {
            var found: Any = root
            for part in reference.split(separator: "/").dropFirst() {
                found = (found as? [String: Any])?[String(part)] ?? [:]
            }
            object = found as? [String: Any] ?? [:]
        }
        return object
    }
}

/// docs/access-matrix.json, of an open server.
private struct AccessRows {
    /// By method and path, the principals that may.
    let allowed: [String: Set<String>]

    init() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs/access-matrix.json")
        let root = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let principals = try #require(root["principals"] as? [String])
        var allowed: [String: Set<String>] = [:]
        for row in try #require(root["endpoints"] as? [[Any]]) where row[1] as? String != "closed server" {
            let answers = zip(principals, row.dropFirst(2).map { $0 as? String })
            // A user may do it in the right role.
            allowed[try #require(row[0] as? String)] = Set(
                answers.filter { ["yes", "insufficient_role"].contains($0.1) }.map(\.0))
        }
        self.allowed = allowed
    }
}
