import ChatCore
import Foundation
import TestSupport
import Testing

/// `luciq apps`, `luciq keys` and the like, against a server of either backend.
@Suite(.timeLimit(.minutes(5))) struct AccessCommandTests {
    private let folder: TemporaryFolder
    private let serverKey = AccessKey.random(.admin).text

    init() throws { folder = try TemporaryFolder() }

    private func environment(_ isCluster: Bool) async throws -> [String: String] {
        var environment = ["LUCIQ_ADMIN_KEY": serverKey]
        if isCluster {
            environment["DATABASE_URL"] = try await SharedServers.freshDatabase()
            environment["REDIS_URL"] = try await SharedServers.freshRedisDatabase()
        }
        return environment
    }

    @Test(arguments: [false, true])
    func fromAnApplicationToARevokedKey(_ isCluster: Bool) async throws {
        let (server, client) = try await LuciqProcess.serve(
            ["--migrate"], in: folder, environment: try await environment(isCluster))
        func luciq(_ arguments: String..., key: String? = nil) async throws -> (
            code: Int32, output: String, errors: String
        ) {
            var environment = ["LUCIQ_URL": "http://127.0.0.1:\(client.port)", "LUCIQ_ADMIN_KEY": serverKey]
            environment["LUCIQ_KEY"] = key
            return try await LuciqProcess.run(arguments, in: folder, environment: environment)
        }
        #expect(try await luciq("apps", "list").output == "There are no applications.\n")
        let created = try await luciq("apps", "create", "Shop").output
        let id = try #require(created.firstMatch(of: /id:    (app_[0-9A-Za-z]{22})\n/)?.1)
        let token = try #require(created.firstMatch(of: /token: ([0-9a-f]{32})\n/)?.1)
        let list = try await luciq("apps", "list").output
        #expect(list.contains(id) && list.contains("identifier") && !list.contains(token))

        #expect(try await luciq("keys", "list", String(id)).output == "The application has no keys.\n")
        let key = try await luciq("keys", "create", String(id), "--name", "ci", "-s", "read", "-s", "write").output
            .trimmingCharacters(in: .newlines)
        let keyID = String(key.dropFirst(7).prefix(12))
        #expect(AccessKey(key)?.id.text == keyID)
        let keys = try await luciq("keys", "list", String(id)).output
        #expect(keys.contains(keyID) && keys.contains("read write") && !keys.contains(key))

        // A key of the application does what its scopes allow, also for the other commands.
        #expect(
            try await luciq("keys", "list", String(id), key: key).errors
                == "luciq: These credentials do not allow this.\n")
        let bearer = ["Authorization": "Bearer \(key)"]
        #expect(try await client.send("POST", "/applications/\(id)/chats", headers: bearer).status == 201)
        #expect(try await luciq("send", String(id), "1", "hello", key: key).output == "1\n")
        try key.write(toFile: folder.file("key"), atomically: true, encoding: .utf8)
        #expect(try await luciq("send", String(token), "1", "hello", key: "@" + folder.file("key")).output == "2\n")

        #expect(try await luciq("apps", "limits", String(id)).output == "The server's limits hold.\n")
        #expect(
            try await luciq("apps", "limits", String(id), "user.create=60/30", "application.stream=600/300/50").output
                == "application.stream=600/300/50\nuser.create=60/30\n")
        #expect(
            try await luciq("apps", "limits", String(id), "user.create=default").output
                == "application.stream=600/300/50\n")
        #expect(try await luciq("apps", "limits", String(id), "user.create=60/30/2").code == 64)
        #expect(
            try await luciq("apps", "limits", String(id), "user.create=0").errors.contains("must be null or an object"))
        #expect(
            try await luciq("apps", "origins", String(id), "https://Chat.example", "http://localhost:8080").output
                == "https://chat.example\nhttp://localhost:8080\n")
        #expect(try await luciq("apps", "origins", String(id), "*").code == 65)
        #expect(try await luciq("apps", "origins", String(id), "--none").output == "No other origin may call.\n")
        #expect(try await luciq("apps", "origins", String(id)).output == "No other origin may call.\n")

        #expect(
            try await luciq("apps", "set", String(id), "--path-token", "off").output
                == "Shop; the token in the path is now: off\n")
        #expect(try await luciq("send", String(token), "1", "hello", key: key).code == 69)

        #expect(try await luciq("keys", "revoke", String(id), keyID).output == "\(keyID) (ci) is revoked.\n")
        let refused = try await luciq("send", String(id), "1", "hello", key: key)
        #expect(refused.code == 69 && refused.errors.contains("The key in Authorization was revoked."))
        #expect(try await luciq("keys", "list", String(id)).output.contains("revoked 20"))
        let json = try await luciq("keys", "list", String(id), "--json").output
        #expect((try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [Any])?.count == 1)

        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        // Neither the key nor the secrets are in the log.
        for secret in [key, serverKey, String(token)] { #expect(!server.errorText.contains(secret)) }
    }

    @Test(arguments: [false, true])
    func usersMembersAndTheKeysOfTheirTokens(_ isCluster: Bool) async throws {
        let (server, client) = try await LuciqProcess.serve(
            ["--migrate"], in: folder, environment: try await environment(isCluster))
        let url = ["LUCIQ_URL": "http://127.0.0.1:\(client.port)", "LUCIQ_ADMIN_KEY": serverKey]
        func luciq(_ arguments: String..., also environment: [String: String] = [:]) async throws -> String {
            let result = try await LuciqProcess.run(arguments, in: folder, environment: url.merging(environment) { $1 })
            #expect(result.code == 0 && result.errors.isEmpty, "\(arguments): \(result.errors)")
            return result.output
        }
        func json(_ arguments: String...) async throws -> Any {
            let result = try await LuciqProcess.run(arguments + ["--json"], in: folder, environment: url)
            return try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        }
        let created = try await luciq("apps", "create", "Shop")
        let id = String(try #require(created.firstMatch(of: /id:    (app_[0-9A-Za-z]{22})\n/)?.1))

        #expect(try await luciq("jwt-keys", "list", id) == "The application has no keys for user tokens.\n")
        let made = try await luciq("jwt-keys", "create", id)
        let (_, kid, secret) = try #require(try /kid:    (\S+)\nsecret: (\S+)\n/.wholeMatch(in: made)?.output)
        let pem = folder.file("key.pem")
        try """
        -----BEGIN PUBLIC KEY-----
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
        -----END PUBLIC KEY-----

        """.write(toFile: pem, atomically: true, encoding: .utf8)
        #expect(try await luciq("jwt-keys", "create", id, "--public-key", pem).wholeMatch(of: /kid:    \S+\n/) != nil)
        let keys = try await luciq("jwt-keys", "list", id)
        #expect(keys.contains("HS256") && keys.contains("EdDSA") && !keys.contains(secret))
        #expect(
            try await luciq("jwt-keys", "retire", id, String(kid), "--at", "2099-01-01T00:00:00Z")
                == "\(kid): retires 2099-01-01T00:00:00.000Z\n")
        #expect(try await luciq("jwt-keys", "activate", id, String(kid)) == "\(kid): active\n")

        #expect(try await luciq("users", "list", id) == "The application has no users.\n")
        let odd = "a b/é"
        for (user, name) in [("ann", "Ann"), (odd, "Odd \u{1B}[31m")] {
            _ = try await luciq("users", "put", id, user, "--name", name, "--metadata", #"{"team":[1,{"a":null}]}"#)
        }
        let users = try await luciq("users", "list", id)
        #expect(users.contains("ann") && users.contains(odd) && users.contains("Odd ␛[31m"))
        let shown = try #require(try await json("users", "show", id, odd) as? [String: Any])
        #expect(shown["id"] as? String == odd && shown["blocked_at"] is NSNull)
        #expect((shown["metadata"] as? [String: [Any]])?["team"]?.count == 2)
        #expect((try await json("users", "list", id) as? [[String: Any]])?.count == 2)
        // Numbers keep their digits, in both directions.
        let numbers =
            #"{"a":1.50,"b":12345678901234567890.123456789,"c":1e400,"d":-0.0,"e":[],"f":{},"g":"[1, \"2\"]: {"}"#
        _ = try await luciq("users", "put", id, "num", "--metadata", " \(numbers) ")
        let bearerOfAll = ["Authorization": "Bearer \(serverKey)"]
        let stored = try await client.get("/applications/\(id)/users/num", headers: bearerOfAll).text
        #expect(stored.contains("\"metadata\":\(numbers)"), "\(stored)")
        let lines = try await luciq("users", "show", id, "num", "--json")
        #expect(
            lines.contains(
                """
                  "metadata" : {
                    "a" : 1.50,
                    "b" : 12345678901234567890.123456789,
                    "c" : 1e400,
                    "d" : -0.0,
                    "e" : [],
                    "f" : {},
                    "g" : "[1, \\"2\\"]: {"
                  },
                """), "\(lines)")
        #expect(try await luciq("users", "list", id, "--json").contains("\"b\" : 12345678901234567890.123456789,\n"))
        #expect(try await luciq("users", "block", id, "ann").contains("blocked:     since 20"))
        let token = try await luciq(
            "token", id, "--kid", String(kid), "--user", "ann", also: ["LUCIQ_JWT_SECRET": String(secret)])
        let bearer = ["Authorization": "Bearer \(token.trimmingCharacters(in: .newlines))"]
        let me = "/applications/\(id)/users/me"
        #expect(try await client.get(me, headers: bearer).json["code"] as? String == "user_blocked")
        #expect(try await luciq("users", "unblock", id, "ann").contains("blocked:     no"))
        #expect(try await client.get(me, headers: bearer).status == 200)
        #expect(try await luciq("users", "revoke", id, "ann").hasPrefix("Tokens are taken from 20"))
        #expect(try await client.get(me, headers: bearer).json["code"] as? String == "token_revoked")
        #expect(try await luciq("users", "revoke", id, "--all").hasPrefix("Tokens are taken from 20"))

        let chat = try await client.post(
            "/applications/\(id)/chats", json: "{}", headers: ["Authorization": "Bearer \(serverKey)"])
        #expect(chat.status == 201)
        #expect(try await luciq("members", "list", id, "1") == "The chat has no members.\n")
        #expect(try await luciq("members", "set", id, "1", "ann") == "ann: member\n")
        #expect(try await luciq("members", "set", id, "1", odd, "--role", "owner") == "\(odd): owner\n")
        let members = try await luciq("members", "list", id, "1")
        #expect(members.contains(odd) && members.contains("owner") && members.contains("#1"))
        #expect(try await luciq("members", "remove", id, "1", "ann") == "ann is no member any more.\n")
        #expect((try await json("members", "list", id, "1") as? [[String: Any]])?.count == 1)

        #expect(try await luciq("jwt-keys", "revoke", id, String(kid)).hasPrefix("\(kid): revoked 20"))
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        #expect(!server.errorText.contains(secret))
    }

    @Test func whatGoesWrongIsOneSentence() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder, environment: ["LUCIQ_ADMIN_KEY": serverKey])
        let url = ["LUCIQ_URL": "http://127.0.0.1:\(client.port)"]
        let id = Tenant.PublicID.random().text
        for (arguments, environment, code, words) in [
            (["apps", "list"], [:], 69, "needs a key: set LUCIQ_KEY or LUCIQ_ADMIN_KEY."),
            (
                ["apps", "list"], ["LUCIQ_KEY": "x"], 64,
                "LUCIQ_KEY must be a key, lq_app_… or lq_adm_…, without a mistake in it."
            ),
            (
                ["apps", "list"], ["LUCIQ_KEY": "@nowhere"], 64,
                "LUCIQ_KEY cannot be read from nowhere: No such file or directory."
            ),
            (
                ["apps", "list"], ["LUCIQ_KEY": AccessKey.random(.admin).text], 69,
                "The key in Authorization is not valid."
            ),
            (
                ["keys", "list", id], ["LUCIQ_ADMIN_KEY": serverKey + "," + AccessKey.random(.admin).text], 69,
                "There is no such application at"
            ),
            (["keys", "revoke", id, "x"], [:], 64, "KEY must be the 12 characters"),
            (["apps", "set", id], [:], 64, "There is nothing to change"),
            (["jwt-keys", "list", id], ["LUCIQ_KEY": serverKey], 69, "There is no such application at"),
            (["jwt-keys", "revoke", id, "a b"], [:], 64, "KID must be the id of a key"),
            (
                ["jwt-keys", "create", id, "--public-key", "nowhere"], [:], 64,
                "--public-key cannot be read from nowhere: No such file or directory."
            ),
            (["users", "show", id, "u"], ["LUCIQ_KEY": serverKey], 69, "There is no such user at"),
            (["users", "put", id, "u", "--metadata", "[]"], [:], 64, "--metadata must be a JSON object."),
            (["users", "put", id, "u", "--metadata", "{} {}"], [:], 64, "--metadata must be a JSON object."),
            (["members", "list", id, "1"], ["LUCIQ_KEY": serverKey], 69, "There is no such chat at"),
            (["members", "remove", id, "1", "u"], ["LUCIQ_KEY": serverKey], 69, "There is no such member at"),
            (["token", "--user", "u1"], [:], 64, "APP is missing: it is an argument, or in LUCIQ_APP."),
            (["token", "--user", "u1"], ["LUCIQ_APP": id], 64, "KID is missing: it is --kid, or in LUCIQ_KID."),
            (["apps", "create", " "], ["LUCIQ_ADMIN_KEY": serverKey], 65, "Name can't be blank."),
            (["apps", "list", "--url", "ftp://x"], [:], 64, "The server's URL must look like"),
            (
                ["apps", "list", "--url", "http://127.0.0.1:1"], ["LUCIQ_KEY": serverKey], 75,
                "The server cannot be reached"
            ),
        ] as [([String], [String: String], Int32, String)] {
            let result = try await LuciqProcess.run(arguments, in: folder, environment: url.merging(environment) { $1 })
            #expect(result.code == code, "\(arguments): \(result.errors)")
            #expect(
                result.errors.contains(words) && result.errors.split(separator: "\n").count == 1,
                "\(arguments): \(result.errors)")
        }
        server.signal(SIGKILL)
        await server.wait()
    }

    @Test func aNewServerKeyEachTime() async throws {
        let keys = try await [1, 2].asyncMap { _ in
            try await LuciqProcess.run(["keys", "admin"], in: folder).output.trimmingCharacters(in: .newlines)
        }
        #expect(keys[0] != keys[1])
        for key in keys { #expect(AccessKey(key)?.kind == .admin) }
    }

    /// One after the other.
    @Test func aServerTakesEachOfItsKeys() async throws {
        let other = AccessKey.random(.admin).text
        let (server, client) = try await LuciqProcess.serve(
            in: folder, environment: ["LUCIQ_ADMIN_KEY": "\(serverKey), \(other)"])
        for (key, status) in [(serverKey, 200), (other, 200), (AccessKey.random(.admin).text, 401)] {
            let answer = try await client.get("/applications", headers: ["Authorization": "Bearer \(key)"])
            #expect(answer.status == status)
        }
        server.signal(SIGKILL)
        await server.wait()
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ body: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
