import Foundation
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Rotation and suspension of applications, on both backends.
@Suite(.timeLimit(.minutes(3))) struct LifecycleTests {
    private func access(
        _ server: AccessServer, _ name: Tenant.Name, _ key: AccessKey? = nil
    ) async throws -> Access {
        try await server.service.access(
            Credentials(application: name.text[...], authorization: key.map { .key($0) } ?? .none))
    }

    /// An application whose token is a credential.
    private func makeApplication(_ server: AccessServer) async throws -> AccessServer.Application {
        let application = try await server.makeApplication()
        _ = try await application.scope.update(pathToken: .credential)
        return application
    }

    /// Something open, and whether it has ended.
    private final class Open: Sendable {
        private let opening: Opening
        private let ended = Mutex(false)

        init(_ access: Access) async throws {
            opening = try await access.open()
            opening.whenRevoked { [self] in ended.withLock { $0 = true } }
        }

        var hasEnded: Bool { ended.withLock(\.self) }
    }

    // MARK: Suspension

    @Test(arguments: BackendKind.allCases)
    func aSuspensionHoldsAtOnceAndUntilItEnds(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let (application, other) = (try await makeApplication(server), try await makeApplication(server))
            let (token, id) = (
                Tenant.Name.token(application.new.token), Tenant.Name.publicID(application.new.publicID)
            )
            let key = try await application.key(.all)
            let admin = AccessServer.bearer(server.serverKey)
            let stream = try await access(server, token).tenant.chat("1").subscribe()
            let open = [try await Open(access(server, id, key)), try await Open(access(server, token))]
            let others = [
                try await Open(access(server, id, server.serverKey)),
                try await Open(access(server, .token(other.new.token))),
            ]

            let suspended = try await server.client.send(
                "POST", "/applications/\(id.text)/suspension", headers: admin)
            #expect(suspended.status == 200 && suspended.json["id"] as? String == id.text)
            #expect(suspended.json["suspended_at"] as? String != nil && suspended.json["deletes_at"] is NSNull)
            // No waiting: it holds once it is answered.
            #expect(open.allSatisfy { $0.hasEnded } && others.allSatisfy { !$0.hasEnded })
            await #expect(throws: StreamEnd.revoked) { try await stream.next() }
            await #expect(throws: ChatError.suspended) { try await access(server, id, key) }
            for (path, headers) in [
                (token.text, [:]), (token.text, AccessServer.bearer(key)), (id.text, AccessServer.bearer(key)),
            ] {
                for request in ["", "/chats/1/messages", "/keys", "/audit", "/chats/77"] {
                    let answer = try await server.client.get("/applications/\(path)\(request)", headers: headers)
                    #expect(answer.status == 403 && answer.code == "application_suspended", "\(request)")
                }
                let create = try await server.client.send(
                    "POST", "/applications/\(path)/chats/1/messages", json: #"{"body":"x"}"#, headers: headers)
                #expect(create.status == 403 && create.code == "application_suspended")
            }
            // Who shows nothing learns nothing.
            #expect(try await server.client.get("/applications/\(id.text)").code == "credentials_required")
            #expect(try await server.client.get("/applications/\(id.text)", headers: admin).status == 200)
            #expect(try await server.client.get("/applications/\(other.new.token.text)").status == 200)
            let listed = try await server.client.get("/applications", headers: admin).list
            #expect(listed.count { $0["suspended_at"] is String } == 1)

            // Again, it changes nothing.
            let again = try await server.client.send("POST", "/applications/\(id.text)/suspension", headers: admin)
            #expect(again.text == suspended.text)
            let resumed = try await server.client.send(
                "DELETE", "/applications/\(id.text)/suspension", headers: admin)
            #expect(resumed.status == 200 && resumed.json["suspended_at"] is NSNull)
            #expect(try await server.client.get("/applications/\(token.text)").status == 200)
            let sent = try await server.client.send(
                "POST", "/applications/\(id.text)/chats/1/messages", json: #"{"body":"x"}"#,
                headers: AccessServer.bearer(key))
            #expect(sent.status == 201 && sent.json["message_number"] as? Int == 2)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func onlyTheServersKeySuspendsAndDeletes(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await makeApplication(server)
            let key = try await application.key(.all)
            for (method, path) in [("POST", "/suspension"), ("DELETE", "/suspension"), ("DELETE", "")] {
                for (name, headers) in [
                    (application.new.token.text, [:]), (application.new.publicID.text, AccessServer.bearer(key)),
                ] {
                    let answer = try await server.client.send(method, "/applications/\(name)\(path)", headers: headers)
                    #expect(answer.status == 403 && answer.code == "insufficient_scope", "\(method) \(path)")
                }
            }
        }
    }

    /// A deletion suspends at once, and can be taken back.
    @Test(arguments: BackendKind.allCases)
    func aDeletionCanBeTakenBack(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await makeApplication(server)
            let (path, admin) = (
                "/applications/\(application.new.publicID)", AccessServer.bearer(server.serverKey)
            )
            let open = try await Open(access(server, .token(application.new.token)))
            let before = WallClock.system.now()
            let deleted = try await server.client.send("DELETE", path, headers: admin)
            #expect(deleted.status == 202 && open.hasEnded)
            let time = try #require((deleted.json["deletes_at"] as? String).flatMap { Timestamp(rfc3339: $0) })
            let days = (time.microseconds - before.microseconds) / 86_400_000_000
            #expect((29...30).contains(days))
            #expect(try await server.client.get("/applications/\(application.new.token)").code != nil)
            #expect(try await server.client.send("DELETE", path, headers: admin).text == deleted.text)
            let resumed = try await server.client.send("DELETE", path + "/suspension", headers: admin)
            #expect(resumed.json["deletes_at"] is NSNull && resumed.json["suspended_at"] is NSNull)
            #expect(try await server.client.get("/applications/\(application.new.token.text)").status == 200)
        }
    }

    // MARK: Rotation

    @Test(arguments: BackendKind.allCases)
    func theOldTokenWorksForAWhileAndSaysSo(_ kind: BackendKind) async throws {
        let now = Mutex(WallClock.system.now())
        try await AccessServer.run(kind, clock: WallClock(now: { now.withLock(\.self) })) { server in
            let application = try await makeApplication(server)
            let (old, id) = (application.new.token.text, application.new.publicID.text)
            let start = now.withLock(\.self)
            let key = try await application.key(.all)
            let rotated = try await server.client.send(
                "POST", "/applications/\(old)/rotate", json: #"{"overlap_s":3600}"#)
            #expect(rotated.status == 200)
            let new = try #require(rotated.json["token"] as? String)
            let until = start.adding(.seconds(3600))
            #expect(rotated.json["old_token_until"] as? String == until.rfc3339 && new != old)

            let open = [
                try await Open(access(server, .token(application.new.token))),
                try await Open(access(server, .token(application.new.token), key)),
            ]
            let others = [
                try await Open(access(server, .token(#require(Tenant.Token(new))))),
                try await Open(access(server, .publicID(application.new.publicID), key)),
            ]
            let seconds = start.microseconds / 1_000_000
            for path in ["", "/chats/1", "/chats/77", "/chats/1/messages/1", "/keys"] {
                let answer = try await server.client.get("/applications/\(old)\(path)")
                #expect(answer["Deprecation"] == "@\(seconds)" && answer["Sunset"] != nil, "\(path)")
                #expect(answer.status == (path == "/chats/77" ? 404 : 200))
                for name in [new, id] {
                    let answer = try await server.client.get(
                        "/applications/\(name)\(path)", headers: name == id ? AccessServer.bearer(key) : [:])
                    #expect(answer["Deprecation"] == nil && answer["Sunset"] == nil)
                    #expect(answer.status == (path == "/chats/77" ? 404 : 200))
                }
            }
            let sunset = try await server.client.get("/applications/\(old)")["Sunset"]
            let format = DateFormatter()
            format.locale = Locale(identifier: "en_US_POSIX")
            format.timeZone = TimeZone(identifier: "GMT")
            format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
            #expect(sunset == format.string(from: Date(timeIntervalSince1970: Double(seconds + 3600))))
            // Both write, into the same numbers.
            for (name, number) in [(old, 2), (new, 3)] {
                let sent = try await server.client.send(
                    "POST", "/applications/\(name)/chats/1/messages", json: #"{"body":"x"}"#)
                #expect(sent.status == 201 && sent.json["message_number"] as? Int == number)
            }

            now.withLock { $0 = until.adding(.microseconds(-1)) }
            await server.service.authenticator.endExpired()
            #expect((open + others).allSatisfy { !$0.hasEnded })
            #expect(try await server.client.get("/applications/\(old)").status == 200)
            now.withLock { $0 = until }
            #expect(try await server.client.get("/applications/\(old)").status == 404)
            await server.service.authenticator.endExpired()
            #expect(open.allSatisfy { $0.hasEnded } && others.allSatisfy { !$0.hasEnded })
            #expect(try await server.client.get("/applications/\(new)").status == 200)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func withoutAnOverlapTheOldTokenEndsAtOnce(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await makeApplication(server)
            let old = Tenant.Name.token(application.new.token)
            let stream = try await access(server, old).tenant.chat("1").subscribe()
            let open = try await Open(access(server, old))
            let byID = try await Open(access(server, .publicID(application.new.publicID), application.key(.all)))
            let rotated = try await server.client.send(
                "POST", "/applications/\(old.text)/rotate", json: #"{"application":{"overlap_s":0}}"#)
            #expect(rotated.status == 200 && rotated.json["old_token_until"] is NSNull)
            #expect(open.hasEnded && !byID.hasEnded)
            await #expect(throws: StreamEnd.revoked) { try await stream.next() }
            #expect(try await server.client.get("/applications/\(old.text)").status == 404)
            let new = try #require(rotated.json["token"] as? String)
            #expect(try await server.client.get("/applications/\(new)").status == 200)
        }
    }

    /// At most one old token: the one before it ends when the next comes, and what is open by it.
    @Test(arguments: BackendKind.allCases)
    func theTokenBeforeTheOldOneEnds(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await makeApplication(server)
            let first = application.new.token
            // This scope knows only the first token; it stays good for changes.
            let second = try await application.scope.rotate(overlap: 3600).token
            let open = [
                try await Open(access(server, .token(first))), try await Open(access(server, .token(second))),
            ]
            let third = try await application.scope.rotate(overlap: 3600).token
            #expect(open.map { $0.hasEnded } == [true, false])
            await #expect(throws: ChatError.notFound) { try await access(server, .token(first)) }
            for token in [second, third] {
                #expect(try await access(server, .token(token)).principal == .pathToken(token))
            }
            #expect(try await access(server, .token(second)).deprecation != nil)
            #expect(try await access(server, .token(third)).deprecation == nil)
            // What the tokens are worth holds for both.
            let scope = try await server.scope(of: .publicID(application.new.publicID))
            _ = try await scope.update(pathToken: .off)
            #expect(open[1].hasEnded)
            for token in [second, third] {
                await #expect(throws: ChatError.notFound) { try await access(server, .token(token)) }
            }
        }
    }

    @Test(arguments: ["-1", "2592001", "1.5", "\"soon\"", "null", "[]", "99999999999999999999"])
    func badOverlapsAreRefused(_ overlap: String) async throws {
        try await AccessServer.run(.sqlite) { server in
            let application = try await makeApplication(server)
            let path = "/applications/\(application.new.token.text)"
            let answer = try await server.client.send("POST", path + "/rotate", json: "{\"overlap_s\":\(overlap)}")
            #expect(answer.status == 422 && answer.errors == ["Overlap_s must be a number from 0 to 2592000"])
            #expect(try await server.client.get(path)["Deprecation"] == nil)
        }
    }

    /// A day, without a body.
    @Test func theUsualOverlap() async throws {
        try await AccessServer.run(.sqlite) { server in
            let application = try await makeApplication(server)
            let before = WallClock.system.now()
            let answer = try await server.client.send("POST", "/applications/\(application.new.token.text)/rotate")
            let until = try #require((answer.json["old_token_until"] as? String).flatMap { Timestamp(rfc3339: $0) })
            #expect(until >= before.adding(.seconds(86_399)) && until <= before.adding(.seconds(86_500)))
        }
    }
}
