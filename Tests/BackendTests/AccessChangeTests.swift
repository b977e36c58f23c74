import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// A change of a key or of what a token is worth counts at once, for requests and for what is open.
@Suite(.timeLimit(.minutes(3))) struct AccessChangeTests {
    private func access(
        _ server: AccessServer, _ application: AccessServer.Application, _ key: AccessKey?, by token: Bool = false
    ) async throws -> Access {
        let name = token ? application.new.token.text : application.new.publicID.text
        return try await server.service.access(
            Credentials(application: name[...], authorization: key.map { .key($0) } ?? .none))
    }

    @Test(arguments: BackendKind.allCases)
    func aRevokedKeyEnds(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let (revoked, kept) = (try await application.key(.all), try await application.key(.all))
            var streams: [ChatSubscription] = []
            for key in [revoked, kept] {
                streams.append(try await access(server, application, key).tenant.chat("1").subscribe(after: Cursor(1)))
            }
            let idle = try await access(server, application, revoked).open()
            let ended = Mutex(false)
            idle.whenRevoked { ended.withLock { $0 = true } }

            _ = try await application.scope.revokeKey(revoked.id.text[...])
            // No waiting: it holds once the revocation is answered.
            await #expect(throws: ChatError.unauthorized(.revoked)) { try await access(server, application, revoked) }
            #expect(ended.withLock(\.self) == true)
            await #expect(throws: StreamEnd.revoked) { try await streams[0].next() }
            _ = try await application.scope.chat("1").send(MessageContent(body: "y"))
            #expect(try await streams[1].next().messages.map(\.body) == ["y"])
            for stream in streams { stream.cancel() }
            withExtendedLifetime(idle) {}
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aTokenThatIsNoCredentialAnyMoreEnds(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind, isOpen: true) { server in
            let new = try await server.service.createTenant(name: "a")
            let scope = try await server.scope(of: .publicID(new.publicID))
            _ = try await scope.createChat()
            let application = AccessServer.Application(new: new, scope: scope, victim: .random())
            let key = try await application.key(.all)
            for value in [Tenant.PathToken.identifier, .off] {
                #expect(try await scope.update(pathToken: .credential).name == "a")
                let byToken = try await access(server, application, nil, by: true).tenant.chat("1").subscribe()
                let byKey = try await access(server, application, key).tenant.chat("1").subscribe()
                // It was one before, and stays one: nothing ends.
                _ = try await scope.update(pathToken: .credential)
                _ = try await scope.chat("1").send(MessageContent(body: "\(value)"))
                #expect(try await byToken.next().messages.map(\.body) == ["\(value)"])
                _ = try await scope.update(pathToken: value)
                await #expect(throws: StreamEnd.revoked) { try await byToken.next() }
                let refusal = value == .off ? ChatError.notFound : .unauthorized(.required)
                await #expect(throws: refusal) { try await access(server, application, nil, by: true) }
                #expect(try await byKey.next().messages.map(\.body) == ["\(value)"])
                byKey.cancel()
            }
        }
    }

    /// What was opened with a key ends with the key's time, though nobody revokes it.
    @Test(arguments: BackendKind.allCases)
    func anExpiredKeyEnds(_ kind: BackendKind) async throws {
        let start = WallClock.system.now()
        let now = Mutex(start)
        let clock = ClockOfTest(now: { now.withLock(\.self) }, set: { value in now.withLock { $0 = value } })
        try await AccessServer.run(kind, clock: WallClock(now: clock.now)) { server in
            let application = try await server.makeApplication()
            let end = start.adding(.seconds(60))
            let key = try await application.key(.all, expiresAt: end)
            let opening = try await access(server, application, key).open()
            let ended = Mutex(false)
            opening.whenRevoked { ended.withLock { $0 = true } }
            clock.set(end.adding(.microseconds(-1)))
            await server.service.authenticator.endExpired()
            #expect(ended.withLock(\.self) == false)
            #expect(try await access(server, application, key).principal == .applicationKey(key.id))
            clock.set(end)
            await #expect(throws: ChatError.unauthorized(.expired)) { try await access(server, application, key) }
            try await eventually("it ends") { ended.withLock(\.self) }
            withExtendedLifetime(opening) {}
        }
    }

    private struct ClockOfTest: Sendable {
        let now: @Sendable () -> Timestamp
        let set: @Sendable (Timestamp) -> Void
    }

    @Test(arguments: BackendKind.allCases)
    func theLastUseIsStored(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let key = try await application.key(.all)
            let before = WallClock.system.now()
            _ = try await access(server, application, key)
            try await eventually("it is stored") {
                (try await server.test.backend.keys.key(key.id)?.lastUsedAt).map { $0 >= before } ?? false
            }
            #expect(try await application.scope.key(application.victim.text[...]).lastUsedAt == nil)
        }
    }

    /// The store is asked once for a key and an application, not for each request.
    @Test(arguments: BackendKind.allCases)
    func whatIsKnownIsNotAskedFor(_ kind: BackendKind) async throws {
        try await AccessServer.run(kind) { server in
            let application = try await server.makeApplication()
            let key = try await application.key(.all)
            let credentials = Credentials(application: application.new.publicID.text[...], authorization: .key(key))
            let unknown = try server.service.knownAccess(credentials)?.principal
            #expect(unknown == nil)
            _ = try await server.service.access(credentials)
            #expect(try server.service.knownAccess(credentials)?.principal == .applicationKey(key.id))
            // A wrong secret goes on to where refusals are counted.
            let forged = Credentials(
                application: application.new.publicID.text[...],
                authorization: .key(AccessKey.forged(key.id, .application)))
            let refused = try server.service.knownAccess(forged)?.principal
            #expect(refused == nil)
            await #expect(throws: ChatError.unauthorized(.invalid)) { try await server.service.access(forged) }
        }
    }
}
