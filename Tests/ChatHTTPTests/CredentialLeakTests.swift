import Cryptography
import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP

/// No credential stands in the log, in metrics or in a problem, however it was shown, and whether it is good or bad.
@Suite(.timeLimit(.minutes(5))) struct CredentialLeakTests {
    /// Credentials of all kinds, and what of each must not be seen.
    private struct Scene {
        let server: TestServer
        let site: TokenSite
        /// What stands behind `Bearer`.
        var bearers: [String] = []
        var tickets: [String] = []
        /// The tokens of the application that paths have, one of before among them.
        var pathTokens: [String] = []

        init(_ server: TestServer) async throws {
            self.server = server
            site = try await TokenSite(server)
            let forge = try await TokenForge(site)
            func key(_ json: String) async throws -> (id: String, text: String) {
                let made = try await server.client.post(site.owner + "/keys", json: json).json
                return (try #require(made["id"] as? String), try #require(made["key"] as? String))
            }
            let read = try await key(#"{"name":"k","scopes":["read"]}"#)
            let all = try await key(#"{"name":"k","scopes":["read","write","members","admin"]}"#)
            let revoked = try await key(#"{"name":"k","scopes":["read"]}"#)
            _ = try await server.client.send("DELETE", site.owner + "/keys/\(revoked.id)")
            bearers = [
                read.text, all.text, revoked.text, TestServer.adminKey.text, AccessKey.random(.application).text,
                AccessKey.random(.admin).text, AccessKey.random(.webhook).text, String(all.text.dropLast()),
                try site.token("u1"), try site.token("u1", seconds: -3600), try site.token("u1", chats: [1]),
                forge.token(secret: .random()), forge.token(header: #"{"alg":"none","kid":"x"}"#),
                forge.longest.taken, forge.longest.refused, "s3cret-and.not-a.token", "s3cret-alone",
            ]
            for _ in 0..<2 {
                let ticket = try await site.ticket(#"{"ttl_s":600}"#)
                tickets.append(try #require(ticket.json["ticket"] as? String))
            }
            // One that opens nothing any more, and one that was changed.
            tickets[1] = tickets[1].dropLast(3) + "AAA"
            let token = String(site.owner.dropFirst("/applications/".count))
            let rotated = try await server.client.post(site.owner + "/rotate", json: #"{"overlap_s":3600}"#)
            pathTokens = [token, try #require(rotated.json["token"] as? String), Tenant.Token.random().text]
        }

        /// Of a key the secret, of a token the claims and the signature too.
        var secrets: [String] {
            var secrets = tickets + pathTokens + bearers + [String(decoding: site.secret.exposedBytes, as: UTF8.self)]
            for bearer in bearers {
                if bearer.hasPrefix("lq_") { secrets.append(String(bearer.suffix(40))) }
                secrets += bearer.split(separator: ".").dropFirst().map(String.init)
            }
            return secrets.filter { $0.utf8.count >= 6 }
        }

        var names: [String] { [site.id] + pathTokens }
    }

    @Test func noneIsSeen() async throws {
        try await TestServer.run { server in
            let scene = try await Scene(server)
            var answers: [Answer] = []
            answers += try await everyRoute(scene, ending: false)
            answers += try await wrongPlaces(scene)
            answers += try await live(scene)
            answers += try await everyRoute(scene, ending: true)
            let problems = answers.filter { $0.status >= 400 }
            let statuses = Set(problems.map(\.status))
            #expect(statuses.isSuperset(of: [400, 401, 403, 404, 422]), "\(statuses)")
            #expect(answers.contains { $0.status < 300 })
            let (log, metrics) = (server.log.lines, server.metrics.text())
            #expect(log.count > answers.count / 2)
            for secret in scene.secrets {
                #expect(!metrics.contains(secret), "metrics: \(secret.prefix(12))")
                #expect(!log.contains { $0.contains(secret) }, "the log: \(secret.prefix(12))")
                for problem in problems where problem.text.contains(secret) || problem.head.contains(secret) {
                    Issue.record("\(secret.prefix(12)) in: \(problem.head) \(problem.text)")
                }
            }
        }
    }

    /// Each route by each name of the application, with each credential.
    ///
    /// - Parameter ending: those that end something of the application, and then those only.
    private func everyRoute(_ scene: Scene, ending: Bool) async throws -> [Answer] {
        var answers: [Answer] = []
        let ends = ["/rotate", "/revoke", "/suspension"]
        for route in scene.server.routes where !route.path.hasSuffix(".json") {
            guard ending == (route.method == .delete || ends.contains { route.path.hasSuffix($0) }) else { continue }
            for name in scene.names.prefix(route.path.contains("{token}") ? 4 : 1) {
                for bearer in [nil] + scene.bearers.map({ Optional($0) }) {
                    if let answer = try await send(route, name, bearer, scene) { answers.append(answer) }
                }
            }
        }
        return answers
    }

    /// - Returns: nil for a stream, which has no end.
    private func send(_ route: Routes.Route, _ name: String, _ bearer: String?, _ scene: Scene) async throws -> Answer?
    {
        let client = scene.server.client
        let path =
            route.path.replacing("{token}", with: name).replacing("{chat_number}", with: "1")
            .replacing("{message_number}", with: "1").replacing("{key_id}", with: "000000000000")
            .replacing("{kid}", with: "k").replacing("{user}", with: "u2")
            + (route.path.hasSuffix("/search") ? "?q=x" : "")
        var headers: [String: String] = [:]
        headers["Authorization"] = bearer.map { "Bearer \($0)" }
        if route.path.hasSuffix("/socket") { headers.merge(WebSocketClient.handshake) { $1 } }
        if route.path.hasSuffix("/stream"), try await SSEClient(client.port, path, headers: headers).status == 200 {
            return nil
        }
        guard route.method != .get else { return try await client.get(path, headers: headers) }
        let json =
            route.path.hasSuffix("messages")
            ? #"{"body":"x"}"# : #"{"name":"x","role":"member","scopes":["read"],"state":"revoked"}"#
        return try await client.send(route.method.rawValue, path, json: json, headers: headers)
    }

    /// Credentials where none belong, as a mistaken client puts them there.
    private func wrongPlaces(_ scene: Scene) async throws -> [Answer] {
        var answers: [Answer] = []
        let client = scene.server.client
        let (path, owner) = (scene.site.path, "/applications/\(scene.pathTokens[1])")
        for secret in scene.bearers + scene.tickets + scene.pathTokens {
            let plain = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
            let quoted = secret.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
            for place in [
                "/applications/\(quoted)", "/\(quoted)", "\(owner)/chats/\(quoted)",
                "\(owner)/chats/1/messages/\(quoted)",
                "\(owner)/chats/1/messages?after=\(quoted)", "\(owner)/chats/1/messages?limit=\(quoted)",
                "\(owner)/chats/1/messages/search?q=\(quoted)", "\(owner)/users/\(quoted)", "\(owner)/keys/\(quoted)",
                "\(path)/chats/1/messages?ticket=\(quoted)", "\(path)/chats/1/stream?ticket=\(quoted)x",
                "\(owner)/chats/1/stream?after=\(quoted)",
            ] {
                answers.append(try await client.get(place))
            }
            for headers in [
                ["Idempotency-Key": secret], ["Authorization": "Basic \(secret)"], ["Authorization": secret],
                ["Origin": "https://\(secret.prefix(60))"], ["Cookie": secret], ["Content-Type": secret],
                ["Last-Event-ID": secret],
            ] {
                answers.append(
                    try await client.send("POST", owner + "/chats/1/messages", json: "{\"\(secret)\"", headers: headers)
                )
                answers.append(try await client.get("\(path)/chats/1/stream", headers: headers))
            }
        }
        return answers
    }

    /// Streams and sockets, and tokens in their messages.
    private func live(_ scene: Scene) async throws -> [Answer] {
        var answers: [Answer] = []
        for ticket in scene.tickets {
            let client = try await SSEClient(
                scene.server.client.port, scene.site.path + "/chats/1/stream?ticket=\(ticket)&soft=1")
            #expect(client.status == 200)
        }
        for bearer in scene.bearers {
            answers.append(try await scene.site.socket("luciq.v1, luciq.token.\(bearer)").answer)
            let socket = try await scene.site.socket()
            await socket.send(#"{"type":"auth","token":"\#(bearer)"}"#)
            await socket.send(#"{"type":"subscribe","chat":1,"after":"\#(bearer)"}"#)
            await socket.send(#"{"type":"\#(bearer)"}"#)
            var frames = 0
            while frames < 3, let frame = try await socket.next() {
                frames += 1
                #expect(!frame.text.contains(bearer), "\(frame.text)")
                if frame.opcode == WebSocketClient.Opcode.close { break }
            }
        }
        return answers
    }
}

extension Answer {
    fileprivate var head: String { headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n") }
}
