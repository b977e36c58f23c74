import Foundation
import Logging
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP

/// The tokens of the page's users: where they are given, and that nobody else takes them.
@Suite(.timeLimit(.minutes(3))) struct DemoTokenTests {
    private static func tokenKeys(_ server: AccessServer, _ path: String) async throws -> [[String: Any]] {
        try await server.client.get(path + "/jwt-keys").parsed as? [[String: Any]] ?? []
    }

    @Test(arguments: BackendKind.allCases)
    func onlySuchServersTakeThem(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind, isOpen: true) { server in
            let application = try await server.client.makeApplication("Shop")
            let made = try await server.client.post(application + "/demo-tokens", json: #"{"user":"ada"}"#)
            #expect(made.status == 201 && made.json["name"] as? String == "Ada", "\(made.text)")
            let token = try #require(made.json["token"] as? String)
            let bearer = ["Authorization": "Bearer \(token)"]
            let me = try await server.client.get(application + "/users/me", headers: bearer)
            #expect(me.status == 200 && me.json["id"] as? String == "ada" && me.json["name"] as? String == "Ada")
            // One key for all, and a name that somebody has changed stays.
            _ = try await server.client.send("PATCH", application + "/users/ada", json: #"{"name":"Countess"}"#)
            for user in ["ada", "ben"] {
                let json = "{\"user\":\"\(user)\"}"
                #expect(try await server.client.post(application + "/demo-tokens", json: json).status == 201)
            }
            let renamed = try await server.client.get(application + "/users/ada")
            #expect(renamed.json["name"] as? String == "Countess")
            let keys = try await Self.tokenKeys(server, application)
            #expect(keys.count == 1 && (keys[0]["kid"] as? String)?.hasPrefix("demo-") == true)
            let wrong = try await server.client.post(application + "/demo-tokens", json: #"{"user":"eve"}"#)
            #expect(wrong.status == 422 && wrong.errors == ["User must be one of ada, ben, cleo, dan"])

            // The same database behind another server: whoever may reach it.
            let ticket = try await server.client.post(application + "/tickets", json: "{}", headers: bearer)
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let name = application.split(separator: "/")[1]
            for (policy, isTaken) in [
                (AccessPolicy(adminKeys: [], isOpen: true, takesDemoKeys: true), true),
                (AccessPolicy(adminKeys: [], isOpen: true), false),
                (AccessPolicy(adminKeys: [server.serverKey], isOpen: false, takesDemoKeys: true), false),
            ] {
                let other = ChatService(
                    backend: server.test.backend, policy: policy, logger: logger,
                    metrics: PrometheusRegistry(version: "test"))
                for shown in [
                    Authorization.userToken(token), .ticket(try #require(ticket.json["ticket"] as? String)),
                ] {
                    let credentials = Credentials(application: name, authorization: shown)
                    do {
                        _ = try await other.access(credentials)
                        #expect(isTaken)
                    } catch ChatError.unauthorized(.userToken(let refusal)) {
                        #expect(!isTaken && [.invalid(.key), .revoked].contains(refusal))
                    }
                }
            }

            // A revoked one is not used again.
            let kid = try #require(keys[0]["kid"] as? String)
            _ = try await server.client.send("DELETE", application + "/jwt-keys/\(kid)")
            #expect(try await server.client.get(application + "/users/me", headers: bearer).status == 401)
            let next = try await server.client.post(application + "/demo-tokens", json: #"{"user":"ada"}"#)
            #expect(next.status == 201)
            #expect(try await Self.tokenKeys(server, application).count == 2)
        }
    }

    /// Pages from elsewhere, names that DNS may point here, and proxies get nothing: as for a path that is not there.
    @Test func onlyThisMachineGetsThem() async throws {
        var options = HTTPOptions()
        options.corsOrigin = "*"
        try await AccessServer.run(.sqlite, isOpen: true, options: options) { server in
            let application = try await server.client.makeApplication("Shop")
            let port = server.client.port
            func send(_ path: String, _ headers: String) async throws -> String {
                let connection = try RawConnection(port: port)
                let json = #"{"user":"ada"}"#
                await connection.send(
                    "POST \(application)\(path) HTTP/1.1\r\n\(headers)\r\nContent-Type: application/json\r\n"
                        + "Content-Length: \(json.utf8.count)\r\n\r\n\(json)")
                var rest: [UInt8] = []
                let answer = try #require(try await connection.receiveAnswer(rest: &rest))
                return answer.status == 201 ? "201" : "\(answer.status) \(answer.json["code"] ?? "")"
            }
            let unknown = try await send("/demo-token", "Host: localhost")
            #expect(unknown == "404 not_found")
            for headers in [
                "Host: localhost", "Host: LOCALHOST:\(port)", "Host: 127.0.0.1:\(port)", "Host: 127.1.2.3",
                "Host: [::1]:\(port)", "Host: localhost:\(port)\r\nOrigin: http://localhost:\(port)",
            ] {
                #expect(try await send("/demo-tokens", headers) == "201", "\(headers)")
            }
            for headers in [
                "Host: intranet", "Host: 192.0.2.1:\(port)", "Host: [::2]", "Host: a.localhost",
                "Host: localhost:\(port)\r\nOrigin: http://localhost:1", "Host: localhost\r\nOrigin: null",
                "Host: localhost\r\nOrigin: http://evil.example", "Host: localhost\r\nOrigin: ",
                "Host: localhost\r\nOrigin: https://localhost:\(port)\r\nOrigin: http://localhost",
                "Host: intranet\r\nOrigin: http://intranet", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1",
            ] {
                #expect(try await send("/demo-tokens", headers) == unknown, "\(headers)")
            }
            #expect(try await send("/demo-tokens", "Host: evil.example") == "421 host_not_allowed")
        }
    }

    @Test func noOtherKeyIsOne() {
        for _ in 0..<1000 {
            let id = UserTokenKey.ID.random()
            #expect(!id.isDemo && !id.text.hasPrefix("-"))
        }
        #expect(UserTokenKey.ID.randomDemo().isDemo)
        for (text, isLoopback) in [
            ("127.0.0.1", true), ("127.255.0.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("128.0.0.1", false),
            ("0.0.0.0", false), ("::", false), ("::2", false), ("10.0.0.127", false), ("::ffff:10.127.0.1", false),
        ] {
            #expect(IPAddress(text)?.isLoopback == isLoopback, "\(text)")
        }
    }
}
