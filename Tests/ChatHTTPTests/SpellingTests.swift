import ChatHTTP
import Foundation
import TestSupport
import Testing

/// A resource has one path: a path that a proxy blocks cannot be reached by another spelling.
@Suite(.timeLimit(.minutes(3))) struct SpellingTests {
    @Test func otherSpellingsAreNothing() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            // Ids of users and reactions are percent-encoded, and every text is one.
            for endpoint in server.endpoints
            where endpoint.pattern != "/" && !endpoint.pattern.hasSuffix("{user}")
                && !endpoint.pattern.hasSuffix("{reaction}")
            {
                let path = endpoint.path(place)
                let query = path.firstIndex(of: "?") ?? path.endIndex
                let (plain, rest) = (path[..<query], path[query...])
                for spelling in Self.otherSpellings(of: String(plain)) {
                    let before = try server.contents()
                    let answer =
                        if let json = endpoint.json {
                            try await server.client.send(endpoint.method, spelling + rest, json: json)
                        } else {
                            try await server.client.send(endpoint.method, spelling + rest, headers: endpoint.headers)
                        }
                    // Some are the path of something that is not there, and some no path at all.
                    #expect([400, 404, 405].contains(answer.status), "\(endpoint.method) \(spelling)")
                    let after = try server.contents()
                    #expect(after == before, "\(endpoint.method) \(spelling)")
                }
            }
        }
    }

    private static func otherSpellings(of path: String) -> [String] {
        let parts = path.dropFirst().split(separator: "/").map(String.init)
        let last = parts[parts.count - 1]
        let hex = "%" + String(last.utf8.first ?? 0, radix: 16) + last.dropFirst()
        var lasts = [hex, "0" + last, last + "%20", last + "\u{301}"]
        if last != last.uppercased() { lasts.append(last.uppercased()) }
        let parent = "/" + parts.dropLast().map { $0 + "/" }.joined()
        let doubled = (1..<parts.count).map { count -> String in
            "/" + parts[..<count].joined(separator: "/") + "//" + parts[count...].joined(separator: "/")
        }
        let prefixes = ["/", "//", "/.", "/x/..", "/%2e"].map { $0 + path }
        let suffixes = ["/", "//", "/.", ";x", ";", "%2F"].map { path + $0 }
        return prefixes + suffixes + doubled + lasts.map { parent + $0 }
    }

    @Test func numbersHaveOneSpelling() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let chat = "/applications/\(place.token)/chats/"
            for number in ["01", "001", "+1", "00", "0", "1.0", "1e0", "%31"] {
                #expect(try await server.client.get(chat + number).status == 404)
                #expect(try await server.client.get(chat + "1/messages/" + number).status == 404)
            }
            #expect(try await server.client.get(chat + "1/messages/1").status == 200)
        }
    }

    /// Clients of the Rails application may name the format in the path.
    @Test func pathsOfRailsClients() async throws {
        try await TestServer.run { server in
            // The id of a user may end with .json.
            for endpoint in server.endpoints where !endpoint.pattern.hasSuffix("{user}") {
                // Some suspend their application.
                let place = try await server.seed()
                let path = endpoint.path(place)
                let query = path.firstIndex(of: "?") ?? path.endIndex
                let named = path[..<query] + ".json" + path[query...]
                let answer = try await server.client.send(
                    endpoint.method, String(named),
                    headers: endpoint.headers.merging(["Content-Type": "application/json"]) { $1 },
                    body: endpoint.json.map { Array($0.utf8) })
                let isAPI =
                    endpoint.pattern.hasPrefix("/applications") && !endpoint.isSocket
                    && !endpoint.pattern.hasSuffix("/stream")
                #expect(isAPI == (answer.status < 300), "\(endpoint)")
                // Nowhere else in a path.
                let early = named.replacing("/chats", with: ".json/chats")
                guard early != named else { continue }
                let refused = try await server.client.send(
                    endpoint.method, String(early), headers: ["Content-Type": "application/json"],
                    body: endpoint.json.map { Array($0.utf8) })
                #expect(refused.status == 404, "\(endpoint)")
            }
            let application = "/applications/\(try await server.seed().token)"
            let created = try await server.client.post(application + "/chats.json", json: "")
            #expect(created["Location"] == application + "/chats/2")
            let refused = try await server.client.post(application + ".json", json: "{}")
            #expect(refused.status == 405 && refused["Allow"] == "GET, PATCH, PUT, DELETE, HEAD")
            #expect(refused["Content-Type"] == "application/json")
            #expect(try await server.client.get(application + "/chats/1.json.json").status == 404)
        }
    }

    /// HTTParty parses `application/json`, and no other JSON type.
    @Test(
        arguments: [
            (nil, "application/problem+json"), ("*/*", "application/problem+json"),
            ("application/json", "application/json"),
            ("application/json, text/plain, */*", "application/json"), ("text/html", "application/problem+json"),
            ("application/problem+json, application/json", "application/problem+json"),
        ] as [(String?, String)])
    func problemsAreLabelled(_ accept: String?, _ type: String) async throws {
        try await TestServer.run { server in
            var headers: [String: String] = [:]
            headers["Accept"] = accept
            for (method, path, status) in [
                ("GET", "/nope", 404), ("DELETE", "/applications", 405), ("POST", "/applications", 400),
            ] {
                let answer = try await server.client.send(method, path, headers: headers)
                #expect(answer.status == status && answer["Content-Type"] == type)
                #expect(answer.json["status"] as? Int == status && answer.json["code"] != nil)
            }
        }
    }

    /// For every request and every answer: no cache keeps it.
    @Test(arguments: [nil, "https://app.example", "*"] as [String?])
    func answersAreProtected(_ corsOrigin: String?) async throws {
        var options = TestServer.options
        options.corsOrigin = corsOrigin
        try await TestServer.run(options: options) { server in
            let place = try await server.seed()
            func check(_ answer: Answer, _ what: String) {
                // The pages may be kept, and are asked about each time.
                let caching = ["GET /", "HEAD /", "GET /docs", "HEAD /docs"].contains(what) ? "no-cache" : "no-store"
                #expect(answer["Cache-Control"]?.hasPrefix(caching) == true, "\(what)")
                #expect(answer["X-Content-Type-Options"] == "nosniff", "\(what)")
                #expect(answer["Cross-Origin-Resource-Policy"] == "same-origin", "\(what)")
                #expect(answer["Vary"] == corsOrigin.map { _ in "Origin" }, "\(what)")
            }
            for endpoint in server.endpoints where !endpoint.pattern.hasSuffix("/stream") || endpoint.method == "HEAD" {
                check(try await server.send(endpoint, place), "\(endpoint)")
                if endpoint.pattern.contains("{token}") {
                    check(try await server.send(endpoint, Place(token: "x")), "\(endpoint), refused")
                }
            }
            check(try await server.client.send("OPTIONS", "/applications"), "OPTIONS")
            check(try await server.client.send("GET", "/" + String(repeating: "x", count: 100_000)), "too long")
            // Requests that never reach the router.
            for (text, status) in [
                ("nonsense\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
                ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            ] {
                let connection = try RawConnection(port: server.client.port)
                await connection.send(text)
                var rest: [UInt8] = []
                let answer = try #require(try await connection.receiveAnswer(rest: &rest))
                #expect(answer.status == status)
                check(answer, text)
            }
            let stream = try await SSEClient(server.client.port, "/applications/\(place.token)/chats/1/stream")
            #expect(stream.headers["cache-control"] == "no-store, no-transform")
            #expect(stream.headers["x-content-type-options"] == "nosniff")
        }
    }
}
