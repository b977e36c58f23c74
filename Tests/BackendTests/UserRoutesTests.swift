import Cryptography
import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Users and the keys of their tokens, over HTTP.
@Suite(.timeLimit(.minutes(4))) struct UserRoutesTests {
    /// An application as its own server sees it.
    private struct Site {
        let server: AccessServer
        let path: String
        let audience: String
        let owner: [String: String]
        var kid = ""
        var secret = ""

        init(_ server: AccessServer) async throws {
            self.server = server
            let application = try await server.makeApplication()
            path = "/applications/\(application.new.publicID.text)"
            audience = application.new.publicID.text
            owner = AccessServer.bearer(try await application.key([.admin, .members]))
            let made = try await server.client.send("POST", path + "/jwt-keys", json: "{}", headers: owner)
            #expect(made.status == 201 && made.json["alg"] as? String == "HS256")
            #expect(made.json["state"] as? String == "active")
            kid = try #require(made.json["kid"] as? String)
            secret = try #require(made.json["secret"] as? String)
            #expect(made["Location"] == "\(path)/jwt-keys/\(kid)")
        }

        func token(_ user: String, at time: Timestamp = WallClock.system.now()) throws -> [String: String] {
            let text = UserToken.sign(
                for: try #require(User.ID(user)), audience: audience, issuedAt: time,
                expiresAt: time.adding(.seconds(600)), keyID: try #require(UserTokenKey.ID(kid)),
                secret: SecretKey(Array(secret.utf8)))
            return ["Authorization": "Bearer \(text)"]
        }

        func send(
            _ method: String, _ path: String, json: String? = nil, as headers: [String: String]? = nil
        ) async throws -> Answer {
            guard let json else {
                return try await server.client.send(method, self.path + path, headers: headers ?? owner)
            }
            return try await server.client.send(method, self.path + path, json: json, headers: headers ?? owner)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aUserIsStoredChangedAndRead(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let site = try await Site(server)
            // Whatever a path may not have by itself.
            for (id, encoded) in [
                ("u1", "u1"), ("a/b", "a%2Fb"), ("100%", "100%25"), ("a b", "a%20b"), ("é", "%C3%A9"), ("a+b", "a+b"),
                ("x.json", "x.json"), ("{user}", "%7Buser%7D"), ("?", "%3F"),
            ] {
                let put = try await site.send(
                    "PUT", "/users/\(encoded)", json: #"{"name":"Ada","metadata":{"a":1,"b":{"c":[null,2]}, "d":"x"}}"#)
                #expect(put.status == 200 && put.json["id"] as? String == id, "\(put.text)")
                #expect(put.text.contains(#""metadata":{"a":1,"b":{"c":[null,2]},"d":"x"}"#), "\(put.text)")
                let own = try site.token(id)
                let patch = try await site.send(
                    "PATCH", "/users/\(encoded)", json: #"{"metadata":{"a":null,"b":{"e":true},"f":2}}"#, as: own)
                #expect(patch.status == 200, "\(patch.text)")
                #expect(
                    patch.text.contains(#""metadata":{"b":{"c":[null,2],"e":true},"d":"x","f":2}"#), "\(patch.text)")
                #expect(patch.json["name"] as? String == "Ada")
                let me = try await site.send("GET", "/users/me", as: own)
                #expect(me.status == 200 && me.text == patch.text)
                #expect(try await site.send("GET", "/users/\(encoded)", as: own).text == patch.text)
                #expect(try await site.send("GET", "/users/\(encoded)").text == patch.text)
                let other = try await site.send("GET", "/users/nobody", as: own)
                #expect(other.status == 403 && other.code == "insufficient_scope")
            }
            for path in ["nobody", ".", "..", "me%00", "%ff", "%2", "%", "%E2%80%AE"] {
                #expect(try await site.send("GET", "/users/\(path)").status == 404, "\(path)")
                #expect(try await site.send("PATCH", "/users/\(path)", json: "{}").status == 404, "\(path)")
            }
            for (json, status) in [
                (#"{"name":""}"#, 422), (#"{"name":" "}"#, 422), (#"{"metadata":[]}"#, 422), (#"{"metadata":1}"#, 422),
                (#"{"metadata":{"a":"\#(String(repeating: "x", count: 8192))"}}"#, 422), (#"{"metadata":{"a":}}"#, 400),
                (#"{"metadata":null,"name":null}"#, 200),
            ] {
                for method in ["PUT", "PATCH"] {
                    let answer = try await site.send(method, "/users/u1", json: json)
                    #expect(answer.status == status, "\(method) \(json.prefix(40)): \(answer.text)")
                }
            }
            // An empty object says something; no body does not, and PUT would take all away.
            let whole = try await site.send("PUT", "/users/u1", json: #"{"name":"Ada"}"#)
            #expect(try await site.send("PATCH", "/users/u1", json: "{}").text == whole.text)
            for method in ["PUT", "PATCH"] {
                let empty = try await site.send(method, "/users/u1")
                #expect(empty.status == 400 && empty.code == "malformed_json", "\(method): \(empty.text)")
            }
            #expect(try await site.send("GET", "/users/u1").text == whole.text)
            #expect(try await site.send("PUT", "/users/u1", json: "{}").json["name"] is NSNull)
            // It grows by patches alone.
            for member in ["a", "b"] {
                let json = #"{"metadata":{"\#(member)":"\#(String(repeating: "x", count: 4100))"}}"#
                let answer = try await site.send("PATCH", "/users/u1", json: json)
                #expect(answer.status == (member == "a" ? 200 : 422), "\(answer.text)")
            }
        }
    }

    /// In the order of their bytes, whatever the database's collation says, page by page.
    @Test(arguments: BackendKind.allCases)
    func usersAreListed(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let (site, other) = (try await Site(server), try await Site(server))
            #expect(try await site.send("GET", "/users").text == "[]")
            #expect(try await other.send("PUT", "/users/of%20another", json: "{}").status == 200)
            let ids = ["a", "B", "b", "e\u{301}", "é", "a/b", "z z", "z", "100%"]
            for id in ids {
                let path = "/users/\(id.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")"
                #expect(try await site.send("PUT", path, json: #"{"name":"N","metadata":{"a":[1]}}"#).status == 200)
            }
            let whole = try await site.send("GET", "/users")
            #expect(whole["Link"] == nil && whole.text.contains(#""name":"N","metadata":{"a":[1]},"created_at""#))
            var listed: [[String]] = []
            var next: String? = site.path + "/users?limit=2"
            while let path = next {
                let answer = try await server.client.get(path, headers: site.owner)
                listed.append((answer.parsed as? [[String: Any]] ?? []).compactMap { $0["id"] as? String })
                next = answer["Link"]?.firstMatch(of: /<(.*)>; rel="next"/).map { String($0.1) }
            }
            let sorted = ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            #expect(listed.map(\.count) == [2, 2, 2, 2, 1])
            #expect(listed.flatMap(\.self).map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
            for query in ["limit=0", "limit=1001", "after=", "after=me"] {
                #expect(try await site.send("GET", "/users?\(query)").status == 422, "\(query)")
            }
            // Large ones end a page early.
            for number in 1...70 {
                let json = #"{"metadata":{"a":"\#(String(repeating: "x", count: 8000))"}}"#
                #expect(try await other.send("PUT", "/users/u\(number)", json: json).status == 200)
            }
            let first = try await other.send("GET", "/users")
            let count = (first.parsed as? [Any])?.count ?? 0
            #expect((60..<70).contains(count) && first["Link"]?.contains("&limit=100>; rel=\"next\"") == true)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aUserIsShutOut(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let site = try await Site(server)
            let own = try site.token("u1")
            #expect(try await site.send("GET", "/users/me", as: own).status == 200)
            let blocked = try await site.send("POST", "/users/u1/block")
            #expect(blocked.status == 200 && blocked.json["blocked_at"] is String)
            let refused = try await site.send("GET", "/chats", as: own)
            #expect(refused.status == 403 && refused.code == "user_blocked" && refused["WWW-Authenticate"] == nil)
            #expect(try await site.send("POST", "/users/u1/unblock").json["blocked_at"] is NSNull)
            #expect(try await site.send("GET", "/chats", as: own).status == 200)
            #expect(try await site.send("POST", "/users/u1/revoke").json["tokens_valid_after"] is String)
            let revoked = try await site.send("GET", "/chats", as: own)
            #expect(revoked.status == 401 && revoked.code == "token_revoked")
            #expect(revoked["WWW-Authenticate"] == #"Bearer error="invalid_token""#)
            let second = try site.token("u2")
            #expect(try await site.send("GET", "/chats", as: second).status == 200)
            #expect(try await site.send("POST", "/revoke").json["tokens_valid_after"] is String)
            #expect(try await site.send("GET", "/chats", as: second).code == "token_revoked")
            #expect(try await site.send("POST", "/users/nobody/unblock").status == 404)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func keysOfBothKinds(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let site = try await Site(server)
            let jwk = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
            let pem =
                #"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"#
                + #"-----END PUBLIC KEY-----\n"#
            for uploaded in [jwk, "\"\(pem)\"", "\"\(jwk.replacing("\"", with: "\\\""))\""] {
                let made = try await site.send(
                    "POST", "/jwt-keys", json: #"{"alg":"EdDSA","public_key":\#(uploaded)}"#)
                #expect(made.status == 201 && made.json["secret"] == nil, "\(made.text)")
                #expect(made.text.contains(#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#), "\(made.text)")
            }
            for (json, status) in [
                (#"{"alg":"RS256"}"#, 422), (#"{"alg":"EdDSA"}"#, 400), (#"{"alg":"EdDSA","public_key":"x"}"#, 422),
                (#"{"alg":"HS256","public_key":"x"}"#, 422), (#"{"public_key":{"d":"x"}}"#, 422), ("[]", 400),
            ] {
                #expect(try await site.send("POST", "/jwt-keys", json: json).status == status, "\(json)")
            }
            let list = try await site.send("GET", "/jwt-keys")
            #expect(list.list.count == 4 && !list.text.contains("secret") && !list.text.contains(site.secret))
            let key = "/jwt-keys/\(site.kid)"
            for (json, status) in [
                (#"{"state":"retiring"}"#, 400), (#"{"state":"x"}"#, 422), ("{}", 400),
                (#"{"state":"retiring","retires_at":"soon"}"#, 422),
                (#"{"state":"retiring","retires_at":"2099-01-01T00:00:00Z"}"#, 200), (#"{"state":"active"}"#, 200),
            ] {
                #expect(try await site.send("PATCH", key, json: json).status == status, "\(json)")
            }
            #expect(try await site.send("GET", "/chats", as: try site.token("u1")).status == 200)
            #expect(try await site.send("DELETE", key).json["state"] as? String == "revoked")
            #expect(try await site.send("GET", "/chats", as: try site.token("u1")).code == "token_revoked")
            #expect(try await site.send("PATCH", key, json: #"{"state":"active"}"#).status == 422)
            #expect(try await site.send("GET", key).json["state"] as? String == "revoked")
        }
    }

    /// The attacks on tokens that `UserTokenAttackTests` has, as requests: each gets its 401, wherever it asks.
    @Test(arguments: BackendKind.allCases)
    func attacksGetTheir401(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let site = try await Site(server)
            let stranger = try await Site(server)
            let key = SecretKey(Array(site.secret.utf8))
            let now = WallClock.system.now().microseconds / 1_000_000
            func signed(_ header: String? = nil, _ claims: String? = nil, _ secret: SecretKey? = nil) -> String {
                UserToken.sign(
                    header: Array((header ?? #"{"alg":"HS256","kid":"\#(site.kid)"}"#).utf8),
                    claims: Array(
                        (claims ?? #"{"aud":"\#(site.audience)","sub":"u1","iat":\#(now),"exp":\#(now + 60)}"#).utf8),
                    secret: secret ?? key)
            }
            func claims(_ rest: String) -> String { #"{"aud":"\#(site.audience)","sub":"u1",\#(rest)}"# }
            let good = signed()
            #expect(try await site.send("GET", "/chats", as: ["Authorization": "Bearer \(good)"]).status == 200)
            let parts = good.split(separator: ".")
            let attacks: [(String, String)] = [
                (signed(#"{"alg":"none","kid":"\#(site.kid)"}"#), "token_invalid"),
                ("\(parts[0]).\(parts[1]).", "token_invalid"), (good + ".", "token_invalid"),
                ("\(parts[0]).\(parts[1])", "token_invalid"), (" " + good, "token_invalid"),
                (signed(#"{"alg":"EdDSA","kid":"\#(site.kid)"}"#), "token_invalid"),
                (signed(#"{"alg":"HS256"}"#), "token_invalid"),
                (signed(#"{"alg":"HS256","kid":"../../dev/null"}"#), "token_invalid"),
                (signed(#"{"alg":"HS256","kid":"\#(stranger.kid)"}"#), "token_invalid"),
                (signed(#"{"alg":"HS256","kid":"\#(site.kid)","jku":"http://x"}"#), "token_invalid"),
                (signed(#"{"alg":"HS256","kid":"\#(site.kid)","crit":["exp"],"exp":1}"#), "token_invalid"),
                (signed(nil, nil, .random()), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now),"exp":"\#(now + 60)""#)), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now),"exp":\#(now + 60).5"#)), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now),"exp":99999999999999999999"#)), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now),"exp":\#(now + 864_000)"#)), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now),"exp":\#(now + 60),"sub":"u2""#)), "token_invalid"),
                (
                    signed(nil, #"{"aud":["\#(site.audience)"],"sub":"u1","iat":\#(now),"exp":\#(now + 60)}"#),
                    "token_invalid"
                ),
                (signed(nil, #"{"sub":"u1","iat":\#(now),"exp":\#(now + 60)}"#), "token_invalid"),
                (signed(nil, claims(#""iat":\#(now - 600),"exp":\#(now - 300)"#)), "token_expired"),
                (signed(nil, claims(#""iat":\#(now + 300),"exp":\#(now + 600)"#)), "token_not_yet_valid"),
                (
                    signed(
                        nil, claims(#""iat":\#(now),"exp":\#(now + 60),"x":"\#(String(repeating: "x", count: 4096))""#)),
                    "token_invalid"
                ),
            ]
            var fastest: [Duration] = []
            for (token, code) in attacks {
                for path in [site.path, stranger.path, "/applications/\(Tenant.PublicID.random())"] {
                    let answer = try await server.client.send(
                        "GET", path + "/chats", headers: ["Authorization": "Bearer \(token)"])
                    #expect(answer.status == 401 && answer.code == code, "\(code): \(answer.status) \(answer.text)")
                    #expect(answer["WWW-Authenticate"] == #"Bearer error="invalid_token""#)
                    #expect(!answer.text.contains(site.secret) && !answer.text.contains(String(parts[1])))
                }
                // The best of some: the machine may be busy.
                let authorization = Authorization.userToken(token)
                fastest.append(
                    (0..<20).map { _ in
                        ContinuousClock().measure {
                            _ = try? server.service.knownAccess(
                                Credentials(application: site.audience[...], authorization: authorization))
                        }
                    }.min()!)
            }
            #expect(fastest.allSatisfy { $0 < .milliseconds(1) }, "\(fastest)")
            // A right token of another application opens nothing here, and looks like nothing.
            let foreign = try await site.send("GET", "/chats", as: try stranger.token("u1"))
            #expect(foreign.status == 404 && foreign.code == "not_found")
        }
    }
}
