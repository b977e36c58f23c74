import Foundation
import TestSupport
import Testing

/// The contract's table of errors on every route that can answer with them; a refused request stores nothing.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RefusalTests {
    @Test func methodsThatAPathDoesNotKnow() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let known = Dictionary(grouping: server.endpoints, by: \.pattern)
            for (pattern, endpoints) in known {
                let methods = Set(endpoints.map(\.method))
                for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
                where !methods.contains(method) {
                    let endpoint = Endpoint(method: method, pattern: pattern)
                    let answer = try await server.expectRefusal(405, "method_not_allowed", "\(endpoint)") {
                        try await server.client.send(method, endpoint.path(place), json: #"{"name":"x","body":"x"}"#)
                    }
                    let allowed = (answer["Allow"] ?? "").components(separatedBy: ", ")
                    #expect(Set(allowed) == methods && allowed.count == methods.count, "\(endpoint)")
                }
            }
        }
    }

    /// Tokens, chats and messages that do not exist, or are malformed: the same answer for all.
    @Test func whatIsNotThere() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let tokens = [
                String(repeating: "0", count: 32), place.token.uppercased() + "A", String(place.token.dropLast()),
                place.token + "0", "%00", "%ff", "x",
            ]
            let numbers = [
                "2", "0", "9223372036854775807", "9223372036854775808", "18446744073709551617", "-1", "+1", "1abc",
                "%201", "1%20", "1.0", "0x1", "%D9%A1", "null",
            ]
            for endpoint in server.endpoints {
                var places: [Place] = []
                if endpoint.pattern.contains("{token}") {
                    places += tokens.map { Place(token: $0) }
                }
                if endpoint.pattern.contains("{chat_number}") {
                    places += numbers.map { Place(token: place.token, chat: $0) }
                }
                if endpoint.pattern.contains("{message_number}") {
                    places += numbers.map { Place(token: place.token, message: $0) }
                }
                var details: Set<String> = []
                for place in places {
                    let answer = try await server.expectRefusal(404, "not_found", "\(endpoint) \(place)") {
                        try await server.send(endpoint, place)
                    }
                    details.insert(answer.json["detail"] as? String ?? "")
                }
                #expect(details.count <= 1, "\(endpoint): \(details)")
            }
        }
    }

    @Test func longURIsAndHeaders() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            for endpoint in server.endpoints {
                for size in [8192, 100_000] {
                    // A head of more than 64 KiB is not read to its end, so nobody knows which part was too long.
                    let (status, code) = size < 64 << 10 ? (414, "uri_too_long") : (431, "headers_too_large")
                    // A head that is not read is answered before the server knows that it was a HEAD.
                    try await server.expectRefusal(status, code, "\(endpoint) URI of \(size)") {
                        try await server.send(endpoint, place, query: "x=" + String(repeating: "x", count: size))
                    }
                }
                for size in [16_385, 100_000] {
                    try await server.expectRefusal(431, "headers_too_large", "\(endpoint) header of \(size)") {
                        let header = ["X-A": String(repeating: "x", count: size)]
                        return try await server.send(endpoint, place, headers: header)
                    }
                }
            }
        }
    }

    @Test(arguments: [
        ("limit=0", ["Limit must be a number from 1 to 1000"]),
        ("limit=1001", ["Limit must be a number from 1 to 1000"]),
        ("limit=", ["Limit must be a number from 1 to 1000"]),
        ("limit=1abc", ["Limit must be a number from 1 to 1000"]),
        ("limit=%201", ["Limit must be a number from 1 to 1000"]),
        ("limit=9223372036854775808", ["Limit must be a number from 1 to 1000"]),
        ("after=%2B1", ["After must be a number from 0 to 9223372036854775807"]),
        ("after=9223372036854775808", ["After must be a number from 0 to 9223372036854775807"]),
        ("before=-1", ["Before must be a number from 0 to 9223372036854775807"]),
        ("before=%D9%A1", ["Before must be a number from 0 to 9223372036854775807"]),
        ("order=ASC", ["Order must be asc or desc"]), ("order=", ["Order must be asc or desc"]),
        (
            "limit=x&after=x&before=x&order=x",
            [
                "Limit must be a number from 1 to 1000", "After must be a number from 0 to 9223372036854775807",
                "Before must be a number from 0 to 9223372036854775807", "Order must be asc or desc",
            ]
        ),
    ])
    func pagesThatAreNone(_ query: String, _ errors: [String]) async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            // The cursor of a search in all chats is no number.
            let lists = server.endpoints.filter {
                $0.isList && $0.method == "GET" && $0.pattern != "/applications/{token}/messages/search"
            }
            #expect(lists.count == 5)
            for endpoint in lists {
                let answer = try await server.expectRefusal(422, "invalid", "\(endpoint)") {
                    try await server.send(endpoint, place, query: query)
                }
                #expect(answer.errors == errors, "\(endpoint)")
            }
        }
    }

    @Test func bodiesThatAreNone() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let writes = server.endpoints.filter { $0.json != nil }
            #expect(writes.count == 11)
            for endpoint in writes {
                let own: [BadRequest] =
                    switch endpoint.json {
                    case #"{"name":"new"}"#: BadRequest.names
                    case #"{"body":"new"}"#: BadRequest.bodies
                    default: []
                    }
                for bad in BadRequest.malformed + own {
                    let answer = try await server.expectRefusal(bad.status, bad.code, "\(endpoint): \(bad.name)") {
                        let type = bad.type.map { ["Content-Type": $0] } ?? [:]
                        return try await server.client.send(
                            endpoint.method, endpoint.path(place), headers: type, body: bad.body)
                    }
                    #expect(answer.errors == bad.errors, "\(endpoint): \(bad.name)")
                }
                #expect(try await server.send(endpoint, place).status < 300, "\(endpoint)")
            }
        }
    }

    private static let badKeys = ["", String(repeating: "k", count: 256), "ü", "a\tb"]

    @Test(arguments: badKeys)
    func keysThatAreNone(_ key: String) async throws {
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.takesKey {
                let place = try await server.seed()
                let answer = try await server.expectRefusal(422, "invalid", "\(endpoint)") {
                    try await server.send(endpoint, place, headers: ["Idempotency-Key": key])
                }
                #expect(answer.errors == ["Idempotency-Key must be 1 to 255 printable ASCII characters"])
            }
        }
    }

    @Test func keysThatWereUsedOrAreInHand() async throws {
        try await TestServer.run { server in
            let keyed = server.endpoints.filter(\.takesKey)
            #expect(keyed.count == 2)
            for endpoint in keyed {
                let place = try await server.seed()
                let longest = ["Idempotency-Key": String(repeating: "~", count: 255)]
                server.writes.hold()
                let first = Task { try await server.send(endpoint, place, headers: longest) }
                try await server.writes.waitForHeld(1)
                try await server.expectRefusal(409, "idempotency_key_in_flight", "\(endpoint)") {
                    try await server.send(endpoint, place, headers: longest)
                }
                server.writes.release()
                #expect(try await first.value.status == 201)
                let reused = try await server.expectRefusal(422, "idempotency_key_reused", "\(endpoint)") {
                    try await server.send(
                        endpoint, place, json: #"{"body":"another","x":2}"#, headers: longest)
                }
                #expect(reused.errors == ["Idempotency-Key was used before with another body"])
                let before = try server.contents()
                let again = try await server.send(endpoint, place, headers: longest)
                #expect(again.status == 201 && again["Idempotent-Replayed"] == "true", "\(endpoint)")
                #expect(try again.text == (await first.value).text)
                #expect(try server.contents() == before)
            }
        }
    }

    @Test func twoKeysAreNone() async throws {
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.takesKey {
                let place = try await server.seed()
                try await server.expectRefusal(422, "invalid", "\(endpoint)") {
                    let connection = try RawConnection(port: server.client.port)
                    let json = endpoint.json ?? ""
                    await connection.send(
                        "POST \(endpoint.path(place)) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            + "Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: \(json.utf8.count)\r\n\r\n"
                            + json)
                    var rest: [UInt8] = []
                    return try #require(try await connection.receiveAnswer(rest: &rest))
                }
            }
        }
    }
}
