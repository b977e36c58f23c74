import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// The host that a request names, and the origin of the page that sends it.
@Suite(.timeLimit(.minutes(3))) struct HostTests {
    @Test(
        arguments: [
            ("a", "a", nil), ("Chat.Example.com:443", "chat.example.com", 443), ("127.0.0.1:80", "127.0.0.1", 80),
            ("[::1]", "[::1]", nil), ("[2001:DB8::7]:1", "[2001:db8::7]", 1), ("a_b-c~d.:", "a_b-c~d.", nil),
            ("x:65535", "x", 65_535),
        ] as [(String, String, Int?)])
    func authorities(_ text: String, _ host: String, _ port: Int?) throws {
        let authority = try #require(Authority(text))
        #expect(authority.host == host && authority.port == port)
    }

    /// A name that an attacker has registered may lead to any address.
    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("[::1]", true), ("localhost", true),
        ("LOCALHOST", true), ("::ffff:127.0.0.1", true), ("127.evil.example", false), ("127.0.0.1.evil.example", false),
        ("127.", false), ("127.0.0.1:80", false), ("localhost.evil.example", false), ("0.0.0.0", false), ("::", false),
        ("[::1", false), ("", false), ("192.0.2.1", false),
    ])
    func loopbackAddresses(_ host: String, _ isLoopback: Bool) {
        #expect(AllowedHosts.isLoopback(host) == isLoopback)
    }

    private static let malformed = [
        "", ":80", "a b", "a/b", "a@b", "a:b", "a:1:2", "a:65536", "a:+1", "a:999999999999999999999", "a,b", "a%41",
        "é",
        "[::1", "::1", "[]", "[x]", "[::1]x", "a\u{7F}", "http://a",
    ]

    @Test(arguments: malformed) func noAuthority(_ text: String) { #expect(Authority(text) == nil) }

    /// RFC 9112, 3.2, and that an absolute target names the same host as `Host`.
    @Test(
        arguments: malformed.map { "GET /livez HTTP/1.1\r\nHost: \($0)\r\n\r\n" } + [
            "GET /livez HTTP/1.0\r\nHost: a b\r\n\r\n", "GET http://b/livez HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a:81/livez HTTP/1.1\r\nHost: a\r\n\r\n",
        ])
    func malformedHostsAre400(_ request: String) async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(request + "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == 400 && answer.code == "malformed_request")
            #expect(answer["Cache-Control"] == "no-store")
            connection.finish()
            #expect(try await connection.receiveAll() + rest == [])
        }
    }

    @Test func anAbsoluteTargetIsTaken() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send("GET http://A/livez HTTP/1.1\r\nHost: a\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
        }
    }

    /// RFC 9112, 6.1: the server does not guess the length of a body, and reads no bytes after it as a request.
    @Test(arguments: [
        ("HTTP/1.1", "gzip", 501), ("HTTP/1.1", "gzip, chunked", 501), ("HTTP/1.1", "identity", 501),
        ("HTTP/1.1", "chunked\r\nTransfer-Encoding: chunked", 400), ("HTTP/1.1", "Chunked", 404),
        ("HTTP/1.0", "chunked", 400), ("HTTP/1.0", "gzip", 400), ("HTTP/1.1", "chunked, identity", 400),
    ])
    func transferCodings(_ version: String, _ coding: String, _ status: Int) async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "POST /x \(version)\r\nHost: x\r\nTransfer-Encoding: \(coding)\r\n\r\n0\r\n\r\n"
                    + "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == status)
            if status != 404 {
                #expect(answer.code == (status == 501 ? "unknown_transfer_encoding" : "malformed_request"))
                connection.finish()
                #expect(try await connection.receiveAll() + rest == [])
            }
        }
    }

    /// A name that a DNS server can point at this machine is refused on loopback, for every path.
    @Test(arguments: [
        ("evil.example", 421), ("evil.example:PORT", 421), ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1", 200), ("127.0.0.1:PORT", 200), ("[::1]:PORT", 200), ("LOCALHOST", 200), ("app.localhost", 200),
        ("chat", 200), ("10.0.0.7:80", 200),
    ])
    func onLoopback(_ host: String, _ status: Int) async throws {
        try await TestServer.run { server in
            let host = host.replacing("PORT", with: "\(server.client.port)")
            for path in ["/livez", "/metrics", "/"] {
                let answer = try await server.get(path, host: host)
                #expect(answer.status == status, "\(host) \(path)")
                if status == 421 { #expect(answer.code == "host_not_allowed") }
            }
        }
    }

    /// The server remembers the last host that it allowed: for that host alone, and not from a handshake.
    @Test func anAllowedHostAllowsNoOther() async throws {
        try await TestServer.run { server in
            // More connections than event loops.
            for _ in 0..<8 {
                let answer = try await server.get("/livez", host: "chat.example.com", headers: ["Upgrade": "x"])
                #expect(answer.status == 200)
            }
            for _ in 0..<8 {
                #expect(try await server.get("/livez", host: "chat.example.com").status == 421)
                #expect(try await server.get("/livez", host: "127.0.0.1").status == 200)
            }
        }
    }

    @Test(arguments: [
        ("chat.example.com", "chat.example.com", 200), ("chat.example.com", "CHAT.example.com:8443", 200),
        ("chat.example.com", "a.chat.example.com", 421), ("chat.example.com", "evil.example", 421),
        ("chat.example.com", "chat", 421), ("chat.example.com", "127.0.0.1:1", 200),
        (".example.com", "example.com", 200),
        (".example.com", "a.b.example.com", 200), (".example.com", "notexample.com", 421), ("*", "evil.example", 200),
        ("", "evil.example", 200),
    ])
    func namesThatWereSet(_ setting: String, _ host: String, _ status: Int) async throws {
        var options = TestServer.options
        options.host = "0.0.0.0"
        options.allowedHosts = setting.isEmpty ? [] : [setting]
        try await TestServer.run(options: options) { server in
            let answer = try await server.get("/livez", host: host)
            #expect(answer.status == status)
        }
    }

    /// RFC 6454, 5: the default port is a part of an origin. Whether TLS ends before us is not known.
    @Test(arguments: [
        ("chat.example.com", "https://chat.example.com", 101),
        ("chat.example.com:443", "https://chat.example.com", 101),
        ("chat.example.com:80", "http://chat.example.com", 101),
        ("CHAT.example.com", "https://chat.example.com:443", 101),
        ("chat.example.com:8443", "https://chat.example.com:8443", 101), ("[::1]:80", "http://[::1]", 101),
        ("chat.example.com:443", "http://chat.example.com", 403),
        ("chat.example.com:8443", "https://chat.example.com", 403),
        ("chat.example.com", "https://chat.example.com:8443", 403), ("chat.example.com", "ftp://chat.example.com", 403),
        ("chat.example.com", "https://other.example.com", 403), ("chat.example.com", "null", 403),
        ("chat.example.com", "https://chat.example.com.evil.example", 403),
        ("chat.example.com", "chat.example.com", 403),
        // A browser with this name connects directly: there is no proxy in between.
        ("chat.example.com:PORT", "http://chat.example.com:PORT", 421),
        ("127.0.0.1:PORT", "http://127.0.0.1:PORT", 101),
    ])
    func originsOfSockets(_ host: String, _ origin: String, _ status: Int) async throws {
        try await TestServer.run { server in
            let application = try await server.client.makeApplication()
            let port = "\(server.client.port)"
            let headers = WebSocketClient.handshake.merging(["Origin": origin.replacing("PORT", with: port)]) { $1 }
            let answer = try await server.get(
                application + "/socket", host: host.replacing("PORT", with: port), headers: headers)
            #expect(answer.status == status)
        }
    }

    /// A page may make a browser send a form to any site without asking; a foreign one's is refused.
    @Test(
        arguments: [
            ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1", 201), ("https://app.example", 201),
            (nil, 201),
        ] as [(String?, Int)])
    func formsOfPages(_ origin: String?, _ status: Int) async throws {
        var options = TestServer.options
        options.corsOrigin = "https://app.example:443"
        try await TestServer.run(options: options) { server in
            var headers = ["Content-Type": "application/x-www-form-urlencoded"]
            headers["Origin"] = origin
            let answer = try await server.client.send(
                "POST", "/applications", headers: headers, body: Array("name=x".utf8))
            #expect(answer.status == status)
            #expect(answer["Vary"] == "Origin")
            #expect(answer["Access-Control-Allow-Origin"] == origin.map { _ in "https://app.example" })
        }
    }
}

extension TestServer {
    /// Asks for a host by name.
    fileprivate func get(_ path: String, host: String, headers: [String: String] = [:]) async throws -> Answer {
        let connection = try RawConnection(port: client.port)
        let lines = headers.map { "\($0): \($1)\r\n" }.joined()
        await connection.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(lines)\r\n")
        var rest: [UInt8] = []
        return try #require(try await connection.receiveAnswer(rest: &rest))
    }
}
