import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// Every change of an application has its row in the audit, in the same transaction.
@Suite(.timeLimit(.minutes(3))) struct AuditTests {
    @Test(arguments: BackendKind.allCases)
    func everyChangeIsThere(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let admin = AccessServer.bearer(server.serverKey)
            var (ids, secrets) = ([String](), [server.serverKey.text])
            func send(
                _ method: String, _ path: String, _ json: String? = nil, _ headers: [String: String]? = nil
            ) async throws -> Answer {
                var headers = headers ?? admin
                headers["X-Request-Id"] = "r\(ids.count)"
                ids.append("r\(ids.count)")
                let answer =
                    if let json {
                        try await server.client.send(method, path, json: json, headers: headers)
                    } else {
                        try await server.client.send(method, path, headers: headers)
                    }
                #expect(answer.status < 300, "\(method) \(path): \(answer.text)")
                return answer
            }
            let created = try await send("POST", "/applications", #"{"name":"secretive"}"#)
            let (id, token) = (
                try #require(created.json["id"] as? String), try #require(created.json["token"] as? String)
            )
            let path = "/applications/\(id)"
            let made = try await send("POST", path + "/keys", #"{"name":"secretive","scopes":["admin"]}"#)
            let (keyID, key) = (
                try #require(made.json["id"] as? String), try #require(made.json["key"] as? String)
            )
            let byKey = ["Authorization": "Bearer \(key)"]
            _ = try await send("PATCH", path, #"{"name":"secretive 2"}"#, byKey)
            _ = try await send("PATCH", path, #"{"path_token":"credential"}"#, byKey)
            let rotated = try await send("POST", "/applications/\(token)/rotate", #"{"overlap_s":60}"#, [:])
            _ = try await send("POST", path + "/suspension")
            _ = try await send("DELETE", path + "/suspension")
            _ = try await send("DELETE", path)
            _ = try await send("DELETE", path + "/suspension")
            _ = try await send("DELETE", path + "/keys/\(keyID)")
            secrets += [token, key, try #require(rotated.json["token"] as? String), "secretive"]

            // What was refused, and what changed nothing, is not.
            #expect(try await server.client.send("PATCH", path, json: #"{"name":""}"#, headers: admin).status == 422)
            #expect(try await server.client.send("DELETE", path + "/keys/\(keyID)", headers: admin).status == 200)
            #expect(try await server.client.get(path, headers: admin).status == 200)

            let audit = try await server.client.get(path + "/audit", headers: admin)
            #expect(audit.status == 200)
            let server_ = "server_key:\(server.serverKey.id)"
            let expected: [(action: String, principal: String, target: String?)] = [
                ("application.create", server_, nil), ("key.create", server_, keyID),
                ("application.update", "application_key:\(keyID)", "name"),
                ("application.update", "application_key:\(keyID)", "path_token=credential"),
                ("application.rotate", "path_token", "overlap_s=60"), ("application.suspend", server_, nil),
                ("application.resume", server_, nil), ("application.delete", server_, nil),
                ("application.resume", server_, nil), ("key.revoke", server_, keyID),
            ]
            #expect(audit.list.map { $0["action"] as? String } == expected.map(\.action))
            #expect(audit.list.map { $0["principal"] as? String } == expected.map(\.principal))
            #expect(audit.list.map { $0["target"] as? String } == expected.map(\.target))
            #expect(audit.list.map { $0["request_id"] as? String } == ids)
            #expect(audit.list.allSatisfy { $0["address"] as? String == "127.0.0.1" })
            #expect(audit.list.allSatisfy { ($0["created_at"] as? String).flatMap { Timestamp(rfc3339: $0) } != nil })
            for secret in secrets { #expect(!audit.text.contains(secret)) }

            // In pages, in both orders.
            var (next, all): (String?, [Int]) = (path + "/audit?limit=3", [])
            while let page = next {
                let answer = try await server.client.get(page, headers: admin)
                all += answer.list.compactMap { $0["id"] as? Int }
                next = answer["Link"]?.firstMatch(of: /<([^>]*)>; rel="next"/).map { String($0.1) }
            }
            #expect(all == audit.list.compactMap { $0["id"] as? Int } && all == all.sorted())
            let newest = try await server.client.get(path + "/audit?order=desc&limit=2", headers: admin)
            #expect(newest.list.compactMap { $0["id"] as? Int } == all.suffix(2).reversed())
            #expect(newest["Link"]?.contains("\(path)/audit?before=\(all[all.count - 2])") == true)
        }
    }

    /// The keys of user tokens, and what is done to all users at once.
    @Test(arguments: BackendKind.allCases)
    func keysOfUserTokensAndRevocations(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let path = "/applications/\(application.new.publicID)"
            let admin = AccessServer.bearer(server.serverKey)
            let (keys, members) = (try await application.key(.admin), try await application.key(.members))
            func send(_ method: String, _ rest: String, _ json: String?, _ key: AccessKey) async throws -> Answer {
                var headers = AccessServer.bearer(key)
                headers["X-Request-Id"] = "\(method) \(rest)".replacing(" ", with: "-")
                guard let json else { return try await server.client.send(method, path + rest, headers: headers) }
                return try await server.client.send(method, path + rest, json: json, headers: headers)
            }
            let made = try await send("POST", "/jwt-keys", "{}", keys)
            let kid = try #require(made.json["kid"] as? String)
            let secret = try #require(made.json["secret"] as? String)
            let retiring = #"{"state":"retiring","retires_at":"2099-01-01T00:00:00Z"}"#
            #expect(try await send("PATCH", "/jwt-keys/\(kid)", retiring, keys).status == 200)
            #expect(try await send("PATCH", "/jwt-keys/\(kid)", #"{"state":"active"}"#, keys).status == 200)
            #expect(try await send("DELETE", "/jwt-keys/\(kid)", nil, keys).status == 200)
            #expect(try await send("POST", "/revoke", nil, members).status == 200)
            for (rest, json) in [("/block", nil), ("/unblock", nil), ("/revoke", nil)] as [(String, String?)] {
                #expect(try await send("POST", "/users/u1\(rest)", json, members).status == 200)
            }
            #expect(try await send("PUT", "/users/u1", #"{"name":"Ada"}"#, members).status == 200)
            // What is refused leaves nothing.
            #expect(try await send("POST", "/revoke", nil, keys).status == 403)
            #expect(try await send("DELETE", "/jwt-keys/\(kid)", nil, members).status == 403)
            #expect(try await send("DELETE", "/jwt-keys/x", nil, keys).status == 404)

            let rows = try await server.client.get(path + "/audit?limit=100", headers: admin).list
                .filter { ($0["principal"] as? String)?.hasPrefix("application_key:") == true }
            let expected: [(action: String, target: String?, by: AccessKey)] = [
                ("jwt_key.create", kid, keys), ("jwt_key.update", kid, keys), ("jwt_key.update", kid, keys),
                ("jwt_key.revoke", kid, keys), ("application.revoke", nil, members), ("user.block", "u1", members),
                ("user.unblock", "u1", members), ("user.revoke", "u1", members), ("user.update", "u1", members),
            ]
            #expect(rows.map { $0["action"] as? String } == expected.map(\.action))
            #expect(rows.map { $0["principal"] as? String } == expected.map { "application_key:\($0.by.id)" })
            for (row, expected) in zip(rows, expected) {
                // A key's state may follow its id.
                let target = (row["target"] as? String)?.split(separator: " ").first.map(String.init)
                #expect(target == expected.target, "\(row)")
                #expect((row["request_id"] as? String)?.isEmpty == false && row["address"] as? String == "127.0.0.1")
                #expect(!"\(row)".contains(secret))
            }
        }
    }

    /// One that the transaction does not commit leaves no row, and one that it does leaves one.
    @Test(arguments: BackendKind.allCases)
    func aRowComesWithItsChangeAlone(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let audits = server.test.backend.audits
            func actions() async throws -> [String] {
                try await audits.audit(of: application.new.publicID, page: Page()).items.map(\.action)
            }
            let before = try await actions()
            let record = AuditRecord(.revokeKey, by: nil, target: "x")
            let results = try await server.test.backend.tenantLog.apply(
                [
                    .audited(.revokeKey(.random(), of: application.scope.id), record),
                    .audited(.suspend(Tenant.ID(987_654_321)), AuditRecord(.suspendApplication, by: nil)),
                ], at: TestBackend.time)
            #expect(results.map { (try? $0.get()) == nil } == [true, true])
            #expect(try await actions() == before)
            _ = try await server.test.backend.tenantLog.apply(
                [.audited(.revokeKey(application.victim, of: application.scope.id), record)], at: TestBackend.time)
            let after = try await audits.audit(of: application.new.publicID, page: Page()).items
            #expect(after.map(\.action) == before + ["key.revoke"])
            #expect(after.last?.principal == "anyone" && after.last?.requestID == nil && after.last?.address == nil)
        }
    }

    /// Others see nothing of it, and rows are not kept for ever.
    @Test(arguments: BackendKind.allCases)
    func rowsBelongToTheirApplicationAndAge(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let (application, other) = (try await server.makeApplication(), try await server.makeApplication())
            let reader = try await other.key(.admin)
            let path = "/applications/\(application.new.publicID)/audit"
            #expect(try await server.client.get(path, headers: AccessServer.bearer(reader)).status == 404)
            let narrow = try await application.key([.read, .write, .members])
            #expect(try await server.client.get(path, headers: AccessServer.bearer(narrow)).status == 403)
            let unknown = "/applications/\(Tenant.PublicID.random())/audit"
            for key in [server.serverKey, reader] {
                #expect(try await server.client.get(unknown, headers: AccessServer.bearer(key)).status == 404)
            }
            let audits = server.test.backend.audits
            let own = try await audits.audit(of: application.new.publicID, page: Page()).items
            #expect(own.map(\.action) == ["application.create", "key.create", "key.create"])
            let later = WallClock.system.now().adding(AuditEntry.lifetime + .seconds(60))
            _ = try await server.test.backend.tenantLog.apply(
                [.audited(.resume(other.scope.id), AuditRecord(.resumeApplication, by: nil))], at: later)
            #expect(try await audits.audit(of: application.new.publicID, page: Page()).items.isEmpty)
            #expect(
                try await audits.audit(of: other.new.publicID, page: Page()).items.map(\.action) == [
                    "application.resume"
                ])
        }
    }
}
