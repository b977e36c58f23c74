import ChatCore
import ChatHTTP
import Foundation
import TestSupport
import Testing

/// The `Authorization` header, the endpoints of keys, and what answers call an application.
@Suite(.timeLimit(.minutes(3))) struct AuthorizationTests {
    private static let server = ["Authorization": "Bearer \(TestServer.adminKey.text)"]

    private func makeKey(_ server: TestServer, _ application: String, _ scopes: String...) async throws -> String {
        let list = scopes.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try await server.client.post(application + "/keys", json: #"{"name":"k","scopes":[\#(list)]}"#)
        try #require(answer.status == 201)
        return try #require(answer.json["key"] as? String)
    }

    /// Of an application that was made: its token and its id.
    private func names(_ answer: Answer) throws -> (token: String, id: String) {
        (try #require(answer.json["token"] as? String), try #require(answer.json["id"] as? String))
    }

    @Test func howAKeyIsShown() async throws {
        try await TestServer.run { server in
            let application = try await server.client.makeApplication()
            let key = try await makeKey(server, application, "read", "write")
            let cases: [(value: String, status: Int, code: String?)] = [
                ("Bearer \(key)", 200, nil), ("bearer \(key)", 200, nil), ("BEARER \(key)  ", 200, nil),
                ("Bearer  \(key)", 401, "token_invalid"), ("Bearer\t\(key)", 200, nil),
                ("Bearer", 401, "token_invalid"),
                ("Bearer \(key),\(key)", 401, "token_invalid"), ("Bearer \(key) x", 401, "token_invalid"),
                ("Bearer \"\(key)\"", 401, "token_invalid"),
                ("Bearer " + String(repeating: "x", count: 8000), 401, "token_invalid"),
                // Somebody else's.
                ("Basic dXNlcjpwYXNz", 200, nil), ("", 200, nil), (key, 200, nil), ("Digest x=\"y\"", 200, nil),
            ]
            for (value, status, code) in cases {
                let answer = try await server.client.get(application, headers: ["Authorization": value])
                #expect(answer.status == status && answer.code == code, "\(value.prefix(40)): \(answer.text)")
            }
            // Twice, even if both are the same.
            let twice = try await server.client.get(
                application, headers: ["Authorization": "Bearer \(key)", "authorization": "Bearer \(key)"])
            #expect(twice.status == 400 && twice.code == "ambiguous_credentials")
            let half = try await server.client.get(
                application, headers: ["Authorization": "Bearer \(key)", "authorization": "Basic x"])
            #expect(half.status == 400)
            // Where no credentials count, none are looked at.
            #expect(try await server.client.get("/livez", headers: ["Authorization": "Bearer x"]).status == 200)
        }
    }

    @Test func keysHaveTheirEndpoints() async throws {
        try await TestServer.run { server in
            let application = try await server.client.makeApplication()
            let created = try await server.client.post(
                application + "/keys",
                json: #"{"name":"Zoë","scopes":["admin","read","read"],"expires_at":"2999-01-01T01:00:00+01:00"}"#)
            #expect(created.status == 201)
            #expect(Set(created.json.keys) == ["id", "key", "name", "scopes", "created_at", "expires_at"])
            #expect(created.json["name"] as? String == "Zoë")
            #expect(created.json["scopes"] as? [String] == ["read", "admin"])
            #expect(created.json["expires_at"] as? String == "2999-01-01T00:00:00.000Z")
            let id = try #require(created.json["id"] as? String)
            let key = try #require(created.json["key"] as? String)
            #expect(key.hasPrefix("lq_app_\(id)_"))
            #expect(created["Location"] == "\(application)/keys/\(id)")

            let form = try await server.client.send(
                "POST", application + "/keys", headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: Array("name=f&scopes%5B%5D=read&scopes[]=write".utf8))
            #expect(form.status == 201 && form.json["scopes"] as? [String] == ["read", "write"])
            #expect(form.text.contains(#""expires_at":null"#))

            let headers = ["Authorization": "Bearer \(key)"]
            let list = try await server.client.get(application + "/keys", headers: headers)
            #expect(list.list.map { $0["name"] as? String } == ["Zoë", "f"])
            #expect(!list.text.contains(key) && !list.text.contains("\"key\""))
            let shown = try await server.client.get(application + "/keys/\(id)")
            #expect(
                Set(shown.json.keys) == [
                    "id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at",
                ])
            #expect(shown.text.contains(#""revoked_at":null"#))

            // It may revoke itself.
            for _ in 1...2 {
                let revoked = try await server.client.send("DELETE", application + "/keys/\(id)", headers: headers)
                if revoked.status == 401 {
                    #expect(revoked.code == "token_revoked")
                } else {
                    #expect(revoked.status == 200)
                }
            }
            let again = try await server.client.send("DELETE", application + "/keys/\(id)")
            #expect(again.status == 200 && again.json["revoked_at"] as? String != nil)
            #expect(try await server.client.get(application + "/keys/\(id)").text == again.text)
        }
    }

    @Test(arguments: [
        ("{}", 400, [String]()), (#"{"name":"k"}"#, 400, []), (#"{"scopes":["read"]}"#, 400, []), ("[", 400, []),
        (#"{"name":"k","scopes":[]}"#, 422, ["Scopes can't be blank"]),
        (#"{"name":" ","scopes":["read"]}"#, 422, ["Name can't be blank"]),
        (#"{"name":"k","scopes":"read"}"#, 422, ["Scopes must be a list of read, write, members and admin"]),
        (#"{"name":"k","scopes":null}"#, 422, ["Scopes must be a list of read, write, members and admin"]),
        (#"{"name":"k","scopes":["read","Write"]}"#, 422, ["Scopes must be a list of read, write, members and admin"]),
        (#"{"name":"k","scopes":[1]}"#, 422, ["Scopes must be a list of read, write, members and admin"]),
        (#"{"name":"k","scopes":[["read"]]}"#, 422, ["Scopes must be a list of read, write, members and admin"]),
        (
            #"{"name":"k","scopes":["all"],"expires_at":"soon"}"#, 422,
            [
                "Scopes must be a list of read, write, members and admin",
                "Expires_at must be a time as in RFC 3339, such as 2027-01-01T00:00:00Z",
            ]
        ),
        (
            #"{"name":"k","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}"#, 422,
            ["Expires_at must be in the future"]
        ),
        (
            #"{"name":"k","scopes":["read"],"expires_at":5}"#, 422,
            ["Expires_at must be a time as in RFC 3339, such as 2027-01-01T00:00:00Z"]
        ),
    ])
    func keysThatAreNotMade(_ json: String, _ status: Int, _ errors: [String]) async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let path = "/applications/\(place.token)/keys"
            let before = try server.contents()
            let answer = try await server.client.post(path, json: json)
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.errors ?? [] == errors)
            #expect(try server.contents() == before)
        }
    }

    /// Without a key all is as it was, to the byte; and who has a key is not told a token that may open more.
    @Test func answersCallAnApplicationAsThePathDoes() async throws {
        try await TestServer.run { server in
            let new = try await server.client.post("/applications", json: #"{"name":"a"}"#)
            let (token, id) = try names(new)
            let (byToken, byID) = ("/applications/\(token)", "/applications/\(id)")
            let key = ["Authorization": "Bearer " + (try await makeKey(server, byToken, "read", "write", "admin"))]
            for _ in 1...2 { _ = try await server.client.send("POST", byToken + "/chats") }
            for text in ["x", "x x"] {
                _ = try await server.client.post(
                    byID + "/chats/1/messages", json: #"{"body":"\#(text)"}"#, headers: key)
            }

            let plain = try await server.client.get(byToken)
            #expect(
                plain.text.hasPrefix(
                    #"{"name":"a","token":"\#(token)","chats_count":2,"messages_count":2,"created_at":""#))
            let renamed = try await server.client.send("PATCH", byToken, json: #"{"name":"b"}"#)
            #expect(renamed.text == #"{"name":"b","token":"\#(token)"}"#)
            #expect(
                try await server.client.get(byToken + "/message_count").text
                    == #"{"application_token":"\#(token)","messages_count":2}"#)

            let shown = try await server.client.get(byID, headers: key)
            #expect(
                shown.text.hasPrefix(
                    #"{"name":"b","id":"\#(id)","path_token":"credential","limits":{},"origins":[],"receipts":"off","presence":"off","#
                        + #""chats_count":2,"#))
            let both = try await server.client.get(byToken, headers: key)
            #expect(both.text.hasPrefix(#"{"name":"b","token":"\#(token)","id":"\#(id)","path_token":"credential","#))
            for path in [
                byID, byID + "/message_count", byID + "/chats?limit=1", byID + "/chats/1/messages?limit=1",
                byID + "/chats/1/messages/search?q=x&limit=1", byID + "/messages/search?q=x&limit=1", byID + "/keys",
            ] {
                let answer = try await server.client.get(path, headers: key)
                #expect(answer.status == 200)
                #expect(!answer.text.contains(token) && answer["Link"]?.contains(token) != true, "\(path)")
                if path.hasSuffix("limit=1") {
                    let next = try #require(answer.link("next"), "\(path)")
                    #expect(next.hasPrefix(byID + "/"))
                    #expect(try await server.client.get(next, headers: key).status == 200)
                }
            }
            for path in ["/chats", "/chats/1/messages"] {
                let created = try await server.client.post(byID + path, json: #"{"body":"x"}"#, headers: key)
                #expect(created.status == 201 && created["Location"]?.hasPrefix(byID + "/") == true)
            }
        }
    }

    @Test func whatATokenIsWorth() async throws {
        try await TestServer.run { server in
            let (token, id) = try names(try await server.client.post("/applications", json: #"{"name":"a"}"#))
            let (byToken, byID) = ("/applications/\(token)", "/applications/\(id)")
            func set(_ value: String, _ headers: [String: String] = Self.server) async throws -> Answer {
                try await server.client.send("PATCH", byID, json: #"{"path_token":"\#(value)"}"#, headers: headers)
            }
            #expect(try await set("identifier").text == #"{"name":"a","id":"\#(id)","path_token":"identifier"}"#)
            #expect(try await server.client.get(byToken).code == "credentials_required")
            #expect(try await server.client.get(byToken, headers: Self.server).status == 200)
            #expect(try await set("off").status == 200)
            for headers in [[:], Self.server] {
                #expect(try await server.client.get(byToken, headers: headers).code == "not_found")
            }
            #expect(try await set("credential").status == 200)
            #expect(try await server.client.get(byToken).status == 200)
            for value in ["", "Off", "on"] {
                #expect(try await set(value).errors == ["Path_token must be credential, identifier or off"])
            }
            let form = try await server.client.send(
                "PUT", byToken, headers: ["Content-Type": "application/x-www-form-urlencoded"],
                body: Array("application[name]=b&application[path_token]=identifier".utf8))
            #expect(form.text == #"{"name":"b","token":"\#(token)","path_token":"identifier"}"#)
            #expect(try await server.client.get(byToken).status == 401)
            let nothing = try await server.client.send("PATCH", byID, json: "{}", headers: Self.server)
            #expect(nothing.status == 400 && nothing.code == "missing_parameter")
        }
    }

    @Test func aClosedServerMakesApplicationsForItsKeyOnly() async throws {
        try await TestServer.run(policy: AccessPolicy(adminKeys: [TestServer.adminKey], isOpen: false)) { server in
            for json in [#"{"name":"a"}"#, "["] {
                let refused = try await server.client.post("/applications", json: json)
                #expect(refused.status == 401 && refused["WWW-Authenticate"] == "Bearer")
            }
            for headers in [["Authorization": "Bearer x"], ["Authorization": "Basic x"]] {
                #expect(
                    try await server.client.post("/applications", json: #"{"name":"a"}"#, headers: headers).status
                        == 401)
            }
            let (token, id) = try names(
                try await server.client.post("/applications", json: #"{"name":"a"}"#, headers: Self.server))
            #expect(try await server.client.get("/applications/\(token)").code == "credentials_required")
            #expect(try await server.client.get("/applications/\(id)", headers: Self.server).status == 200)
        }
    }

    @Test func allApplicationsInPages() async throws {
        try await TestServer.run { server in
            for name in ["a", "b", "c", "d", "e"] { _ = try await server.client.makeApplication(name) }
            var (seen, next): ([String], String?) = ([], "/applications?limit=2")
            while let path = next {
                let page = try await server.client.get(path, headers: Self.server)
                #expect(page.status == 200)
                seen += page.list.compactMap { $0["name"] as? String }
                #expect(
                    page.list.allSatisfy {
                        Set($0.keys) == [
                            "id", "name", "path_token", "chats_count", "messages_count", "created_at", "suspended_at",
                            "deletes_at",
                        ]
                    })
                next = page.link("next")
            }
            #expect(seen == ["a", "b", "c", "d", "e"])
            for (query, error) in [
                ("limit=0", "Limit must be a number from 1 to 1000"),
                ("after=x", "After must be the id of an application"),
                ("after=app_0000000000000000000000", "After must be the id of an application"),
            ] {
                #expect(try await server.client.get("/applications?" + query, headers: Self.server).errors == [error])
                // Who may not list them learns nothing.
                #expect(try await server.client.get("/applications?" + query).status == 401)
            }
        }
    }

    /// Over a WebSocket each request is checked for itself.
    @Test func aSocketDoesWhatItsKeyMay() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let application = server.application(chat)
            func connect(_ scope: String) async throws -> WebSocketClient {
                let key = try await makeKey(server, application, scope)
                return try await WebSocketClient(
                    server.client.port, application + "/socket",
                    headers: WebSocketClient.handshake.merging(["Authorization": "Bearer \(key)"]) { $1 })
            }
            let subscribe = #"{"type":"subscribe","chat":1}"#
            let send = #"{"type":"send","chat":1,"body":"hi"}"#
            let (reader, writer) = (try await connect("read"), try await connect("write"))
            await reader.send(subscribe)
            #expect(try await reader.answer()["type"] as? String == "subscribed")
            await reader.send(send)
            #expect(try await reader.answer()["code"] as? String == "insufficient_scope")
            await writer.send(subscribe)
            #expect(try await writer.answer()["code"] as? String == "insufficient_scope")
            await writer.send(send)
            #expect(try await writer.answer()["type"] as? String == "sent")
            #expect(try await reader.answer()["type"] as? String == "message")
            #expect(try await connect("members").answer.status == 403)
        }
    }

    @Test func aKeyIsNeverLogged() async throws {
        try await TestServer.run { server in
            let (token, id) = try names(
                try await server.client.post("/applications", json: #"{"name":"a"}"#, headers: Self.server))
            let created = try await server.client.post(
                "/applications/\(id)/keys", json: #"{"name":"k","scopes":["read"]}"#, headers: Self.server)
            let key = try #require(created.json["key"] as? String)
            for value in ["Bearer \(key)", "Bearer \(key)x", key] {
                for path in ["", "/chats/1", "/keys", "/nothing"] {
                    _ = try await server.client.get("/applications/\(id)\(path)", headers: ["Authorization": value])
                    _ = try await server.client.get("/applications/\(token)\(path)", headers: ["Authorization": value])
                }
            }
            let secrets = [key.dropFirst(20).prefix(43), TestServer.adminKey.text.dropFirst(20).prefix(43), token[...]]
            let everything = server.log.lines + server.metrics.text().split(separator: "\n").map(String.init)
            #expect(server.log.lines.contains { $0.contains("/applications/{token}/keys") })
            for line in everything { for secret in secrets { #expect(!line.contains(secret)) } }
            // Nor is it stored.
            for row in try server.contents() where row.hasPrefix("application_keys") {
                #expect(!row.contains(key.dropFirst(20).prefix(20)))
            }
        }
    }
}
