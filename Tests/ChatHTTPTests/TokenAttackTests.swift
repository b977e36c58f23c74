import Foundation
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP

/// Tokens that must not be taken, shown in every way in which a token can be shown: each gets the documented answer, and does
/// nothing. `UserTokenAttackTests` has more of them, without a server.
@Suite(.timeLimit(.minutes(5))) struct TokenAttackTests {
    /// Answers of HTTP, and streams of events.
    @Test func attacksOverHTTP() async throws {
        try await Self.run { site, attacks in
            let client = site.server.client
            for attack in attacks where attack.fitsHeader {
                let headers = ["Authorization": "Bearer \(attack.token)"]
                for path in ["/chats/1/messages", "/chats/1/stream"] {
                    expectRefusal(try await client.get(site.path + path, headers: headers), attack, path)
                }
                let created = try await client.post(
                    site.path + "/chats/1/messages", json: #"{"body":"x"}"#, headers: headers)
                expectRefusal(created, attack, "a create")
                let soft = try await client.get(site.path + "/chats/1/stream?soft=1", headers: headers)
                #expect(soft.status == 200, "\(attack.name)")
                #expect(
                    soft.text.contains("data: {\"code\":\"\(attack.refusal.code)\",\"reconnect\":false}"),
                    "\(attack.name): \(soft.text)")
                // A token is no ticket, whatever it says.
                let plain = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
                let query = attack.token.addingPercentEncoding(withAllowedCharacters: plain) ?? ""
                let ticket = try await client.get(site.path + "/chats/1/stream?ticket=\(query)")
                #expect(ticket.status == 401 && ticket.code == "token_invalid", "\(attack.name): \(ticket.text)")
            }
        }
    }

    /// In the header, among the subprotocols, as the first message and as a newer token.
    @Test func attacksOverWebSockets() async throws {
        try await Self.run { site, attacks in
            for attack in attacks {
                if attack.fitsHeader {
                    var headers = WebSocketClient.handshake
                    headers["Authorization"] = "Bearer \(attack.token)"
                    let client = try await WebSocketClient(
                        site.server.client.port, site.path + "/socket", headers: headers)
                    expectRefusal(client.answer, attack, "a socket")
                }
                // A list's commas and blanks are none of its values.
                if attack.fitsHeader, !attack.token.contains(where: { ", ".contains($0) }) {
                    let protocols = "luciq.v1, luciq.token.\(attack.token)"
                    expectRefusal(try await site.socket(protocols).answer, attack, "a subprotocol")
                }
                let frame = #"{"type":"auth","token":\#(try Self.quoted(attack.token))}"#
                let first = try await site.socket()
                await first.send(frame)
                let kept = try await site.socket("luciq.token.\(site.token("u1"))")
                await kept.send(frame)
                for (socket, way) in [(first, "a first message"), (kept, "a newer token")] {
                    let close = try await socket.next()
                    #expect(close?.code == attack.closeCode, "\(attack.name), \(way): \(close?.text ?? "")")
                    #expect(
                        close?.text.hasSuffix(attack.refusal.sentence.prefix(120)) == true
                            || attack.refusal == .expired, "\(attack.name), \(way): \(close?.text ?? "")")
                    #expect(close?.text.contains(attack.token) == false)
                }
            }
        }
    }

    /// What costs most is a signature, and only a token that is right in all else gets that far.
    @Test func onlyForgeriesCostASignature() async throws {
        try await Self.run { site, attacks in
            let costly = attacks.filter(\.costsASignature).map(\.name)
            #expect(costly.count < attacks.count / 10, "\(costly)")
            // The refusals of the checks that come before it are all there.
            let faults = Set(attacks.map { "\($0.refusal)" })
            let all: [UserTokenRefusal] = UserTokenRefusal.Fault.allCases.map { .invalid($0) }
            for refusal in all + [.expired, .notYetValid, .revoked] { #expect(faults.contains("\(refusal)")) }
        }
    }

    private static func run(_ body: @escaping @Sendable (TokenSite, [TokenAttack]) async throws -> Void) async throws {
        try await TestServer.run { server in
            let site = try await TokenSite(server)
            let forge = try await TokenForge(site)
            // The forge makes good ones, too.
            for token in [forge.token(), forge.longest.taken] {
                let headers = ["Authorization": "Bearer \(token)"]
                #expect(try await server.client.get(site.path + "/users/me", headers: headers).status == 200)
            }
            try await body(site, forge.attacks)
            #expect(try await server.client.get(site.owner + "/chats/1/messages").list.isEmpty)
            #expect(try await server.client.get(site.owner + "/users/u2").status == 404)
        }
    }

    private func expectRefusal(_ answer: Answer, _ attack: TokenAttack, _ way: String) {
        #expect(answer.status == 401, "\(attack.name), \(way): \(answer.text)")
        #expect(answer.code == attack.refusal.code, "\(attack.name), \(way): \(answer.text)")
        #expect(answer["WWW-Authenticate"] == "Bearer error=\"invalid_token\"", "\(attack.name), \(way)")
        #expect(answer["Content-Type"] == "application/problem+json", "\(attack.name), \(way)")
        // Which check it was; without a dot in a header it is not even the form of one.
        let isToken = attack.token.contains(".") || way == "a subprotocol"
        #expect(
            answer.json["detail"] as? String
                == (isToken ? attack.refusal.sentence : "The key in Authorization is not valid."),
            "\(attack.name), \(way)")
        #expect(!answer.text.contains(attack.token), "\(attack.name), \(way)")
    }

    private static func quoted(_ text: String) throws -> String {
        String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
    }
}
