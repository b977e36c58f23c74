import Foundation
import NIOCore
import TestSupport
import Testing

/// Clients of before access, with a server whose settings nobody has changed, on both backends.
@Suite(.timeLimit(.minutes(3))) struct OldClientTests {
    enum Store: CaseIterable, Sendable {
        case embedded, cluster
    }

    /// What nothing that has been set can cause.
    private static let newHeaders = [
        "RateLimit", "RateLimit-Policy", "Deprecation", "Sunset", "Vary", "WWW-Authenticate",
        "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Retry-After",
    ]

    private func serve(_ store: Store, _ body: (Client) async throws -> Void) async throws {
        let folder = try TemporaryFolder()
        var environment: [String: String] = [:]
        if store == .cluster {
            environment["DATABASE_URL"] = try await SharedServers.freshDatabase()
            environment["REDIS_URL"] = try await SharedServers.freshRedisDatabase()
            let migration = try await LuciqProcess.run(["db", "migrate"], in: folder, environment: environment)
            #expect(migration.code == 0, "\(migration.errors)")
        }
        let (server, client) = try await LuciqProcess.serve(in: folder, environment: environment)
        try await body(client)
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test(arguments: Store.allCases)
    func theContractHolds(_ store: Store) async throws {
        try await serve(store) { client in
            var known: [String: String] = [:]
            for step in try Step.read(OldClientSteps.all) {
                var request = step.request.filled(known)
                if step.body != nil, !request.headers.contains(where: { $0.name == "Content-Type" }) {
                    request.headers.append((name: "Content-Type", value: "application/json"))
                }
                let answer = try await client.send(
                    request.method, request.path,
                    headers: Dictionary(request.headers.map { ($0.name, $0.value) }) { $1 },
                    body: step.body.map { Array(Step.filled($0, known).utf8) })
                try step.expect(answer, &known)
                for name in Self.newHeaders { #expect(answer[name] == nil, "\(step): \(name)") }
            }
            try await expectStreams(client, "/applications/" + (known["token"] ?? ""))
        }
    }

    private func expectStreams(_ client: Client, _ application: String) async throws {
        // Server-sent events: the order of the lines is part of the contract. By HTTP/1.0, without chunks.
        let stream = try RawConnection(port: client.port)
        await stream.send("GET \(application)/chats/2/stream?after=0 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        var text = ""
        func next(_ pattern: some RegexComponent) async throws {
            while text.firstMatch(of: pattern) == nil {
                let bytes = try await stream.receive()
                guard !bytes.isEmpty else { break }
                text += String(decoding: bytes, as: UTF8.self)
            }
            #expect(text.firstMatch(of: pattern) != nil, "\(text)")
        }
        try await next(/Content-Type: text\/event-stream/)
        try await next(/retry: 1000\n/)
        try await next(/event: cursor\ndata: \{"cursor":"0"\}\nid: 0\n\n/)
        for number in 1...2 {
            let sent = try await client.post(application + "/chats/2/messages", json: "{\"body\":\"s\(number)\"}")
            #expect(sent.json["message_number"] as? Int == number)
        }
        try await next(/event: message\ndata: \{"number":1,"body":"s1","created_at":"[^"]+Z"[^\n]*\}\nid: 1\n\n/)
        try await next(/event: message\ndata: \{"number":2,"body":"s2","created_at":"[^"]+Z"[^\n]*\}\nid: 2\n\n/)

        let resumed = try RawConnection(port: client.port)
        await resumed.send(
            "GET \(application)/chats/2/stream HTTP/1.0\r\nHost: 127.0.0.1\r\nLast-Event-ID: 1\r\n\r\n")
        var rest = ""
        while !rest.contains("id: 2\n\n") {
            let bytes = try await resumed.receive()
            if bytes.isEmpty { break }
            rest += String(decoding: bytes, as: UTF8.self)
        }
        #expect(rest.contains("event: cursor\ndata: {\"cursor\":\"1\"}\nid: 1\n\n") && !rest.contains("\"s1\""))

        let socket = try RawConnection(port: client.port)
        await socket.send(
            "GET \(application)/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        for text in [
            #"{"type":"subscribe","chat":2,"after":"1"}"#,
            #"{"type":"send","chat":2,"ref":"c-1","key":"k","body":"s3"}"#,
            #"{"type":"send","chat":2,"ref":"c-2","key":"k","body":"s3"}"#,
            #"{"type":"send","chat":9,"ref":"c-3","body":"s4"}"#,
        ] {
            var frame = StreamDecoder.frame(1, ByteBuffer(string: text))
            await socket.send(frame.readBytes(length: frame.readableBytes) ?? [])
        }
        var heard = ""
        let wanted = [
            "HTTP/1.1 101 ", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            #"{"type":"subscribed","chat":2,"cursor":"1"}"#,
            #"{"type":"message","chat":2,"cursor":"2","message":{"number":2,"#,
            #""type":"sent","ref":"c-1","chat":2,"message_number":3"#, #""replayed":true"#,
            #""type":"error","ref":"c-3""#,
        ]
        while !wanted.allSatisfy({ heard.contains($0) }) {
            let bytes = try await socket.receive()
            guard !bytes.isEmpty else { break }
            heard += String(decoding: bytes, as: UTF8.self)
        }
        for text in wanted { #expect(heard.contains(text), "\(text) is not in \(heard)") }
        // Last: it also ends a subscription that is not open yet.
        var frame = StreamDecoder.frame(1, ByteBuffer(string: #"{"type":"unsubscribe","chat":2}"#))
        await socket.send(frame.readBytes(length: frame.readableBytes) ?? [])
        while !heard.contains(#"{"type":"unsubscribed","chat":2}"#) {
            let bytes = try await socket.receive()
            if bytes.isEmpty { break }
            heard += String(decoding: bytes, as: UTF8.self)
        }
        #expect(heard.contains(#"{"type":"unsubscribed","chat":2}"#))
    }
}

/// A request and what is to come, as `OldClientSteps` writes them.
private struct Step: CustomStringConvertible {
    typealias Header = (name: String, value: String)

    struct Request {
        var method: String
        var path: String
        var headers: [Header]

        func filled(_ known: [String: String]) -> Request {
            Request(
                method: method, path: Step.filled(path, known),
                headers: headers.map { ($0.name, Step.filled($0.value, known)) })
        }
    }

    let request: Request
    let body: String?
    let status: Int
    let headers: [Header]
    let answer: String?

    var description: String { "\(request.method) \(request.path.prefix(80)) \(body?.prefix(60) ?? "")" }

    static func read(_ text: String) throws -> [Step] {
        try text.components(separatedBy: "\n\n").filter { !$0.allSatisfy(\.isWhitespace) }.map { block in
            var lines = block.split(separator: "\n").map(String.init)[...]
            func headers() -> [Header] {
                var headers: [Header] = []
                while let line = lines.first, line.hasPrefix("  ") {
                    let parts = lines.removeFirst().split(separator: ":", maxSplits: 1)
                    headers.append((parts[0].trimmingCharacters(in: .whitespaces), String(parts[1].dropFirst())))
                }
                return headers
            }
            let first = lines.removeFirst().split(separator: " ", maxSplits: 2).map(String.init)
            let sent = headers()
            let status = try #require(Int(lines.removeFirst()), "\(block)")
            let received = headers()
            return Step(
                request: Request(method: first[0], path: first[1], headers: sent),
                body: first.count > 2 ? first[2] : nil, status: status, headers: received, answer: lines.first)
        }
    }

    /// Puts what is known in the place of its name.
    static func filled(_ text: String, _ known: [String: String]) -> String {
        var text = text
        while let match = text.firstMatch(of: /\{(\d+)\*(.)\}/) {
            text.replaceSubrange(match.range, with: String(repeating: String(match.2), count: Int(match.1) ?? 0))
        }
        for (name, value) in known { text = text.replacing("<\(name)>", with: value) }
        return text
    }

    func expect(_ answer: Answer, _ known: inout [String: String]) throws {
        #expect(answer.status == status, "\(self): \(answer.text.prefix(300))")
        #expect(answer["X-Request-Id"]?.isEmpty == false, "\(self)")
        for (name, value) in headers {
            let found = try #require(answer[name], "\(self): \(name)")
            let isRight = Self.matches(found, Self.filled(value, known), &known)
            #expect(isRight, "\(self): \(name): \(found)")
        }
        guard let wanted = self.answer.map({ Self.filled($0, known) }) else { return }
        // Numbers stand alone: as texts they are JSON.
        let quoted = wanted.replacing(/(?<before>[:\[,])(?<value><[a-z]*:integer>)/) { "\($0.before)\"\($0.value)\"" }
        let pattern = try JSONSerialization.jsonObject(with: Data(quoted.utf8), options: .fragmentsAllowed)
        let found = try #require(answer.parsed, "\(self): \(answer.text.prefix(300))")
        let isRight = Self.contains(found, pattern, &known)
        #expect(isRight, "\(self): \(answer.text.prefix(600)) is not \(wanted.prefix(600))")
    }

    /// Whether a value is as the pattern says.
    private static func contains(_ found: Any, _ wanted: Any, _ known: inout [String: String]) -> Bool {
        switch (found, wanted) {
        case (let found as [String: Any], let wanted as [String: Any]):
            return wanted.allSatisfy { name, value in found[name].map { contains($0, value, &known) } == true }
        case (let found as [Any], let wanted as [Any]):
            return found.count == wanted.count && zip(found, wanted).allSatisfy { contains($0, $1, &known) }
        case (let found as String, let wanted as String): return matches(found, wanted, &known)
        case (let found as NSNumber, let wanted as String): return wanted.hasSuffix(":integer>") && found.intValue >= 0
        case (let found as NSNumber, let wanted as NSNumber): return found == wanted
        default: return false
        }
    }

    /// Whether a text is as the pattern says, which has one place for another text at most.
    private static func matches(_ found: String, _ wanted: String, _ known: inout [String: String]) -> Bool {
        guard let match = wanted.firstMatch(of: /<([a-z]*):([a-z0-9]+)>/) else {
            return found.utf8.elementsEqual(wanted.utf8)
        }
        let (before, after) = (wanted[..<match.range.lowerBound], wanted[match.range.upperBound...])
        guard found.hasPrefix(before), found.hasSuffix(after), found.count >= before.count + after.count else {
            return false
        }
        let value = String(found.dropFirst(before.count).dropLast(after.count))
        let isOfKind =
            switch match.2 {
            case "hex32": value.wholeMatch(of: /[0-9a-f]{32}/) != nil
            case "time": value.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil
            default: !value.isEmpty
            }
        if isOfKind, !match.1.isEmpty { known[String(match.1)] = value }
        return isOfKind
    }
}
