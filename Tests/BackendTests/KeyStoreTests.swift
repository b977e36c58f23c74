import ChatCore
import TestSupport
import Testing

/// Keys, public ids and the worth of tokens, in both stores.
@Suite(.timeLimit(.minutes(2))) struct KeyStoreTests {
    private func key(
        _ test: TestBackend, _ name: String = "k", tenant: Tenant.ID? = nil, scopes: Abilities = .read,
        expiresAt: Timestamp? = nil, createdAt: Timestamp = TestBackend.time
    ) -> ApplicationKey {
        let key = AccessKey.random(.application)
        return ApplicationKey(
            id: key.id, tenant: tenant ?? test.tenant, name: name, digest: key.digest, scopes: scopes,
            createdAt: createdAt, expiresAt: expiresAt)
    }

    private func apply(
        _ test: TestBackend, at time: Timestamp = TestBackend.time, _ changes: TenantChange...
    ) async throws -> [Result<TenantChange.Effect, ChatError>] {
        try await test.backend.tenantLog.apply(changes, at: time)
    }

    @Test(arguments: BackendKind.allCases)
    func keysAreStoredAsTheyAre(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let later = TestBackend.time.adding(.seconds(1))
            let keys = [
                key(test, "Ω’s 🤷🏽‍♀️", scopes: .all, expiresAt: later),
                key(test, "b", scopes: [.write, .admin], createdAt: later),
            ]
            let foreign = key(test, tenant: Tenant.ID(987_654))
            let results = try await apply(test, .addKey(keys[1]), .addKey(keys[0]), .addKey(foreign))
            #expect((try? results[0].get()) != nil && (try? results[1].get()) != nil)
            #expect(throws: ChatError.notFound) { try results[2].get() }
            #expect(try await test.backend.keys.keys(of: test.tenant) == keys)
            #expect(try await test.backend.keys.key(keys[0].id) == keys[0])
            #expect(try await test.backend.keys.key(foreign.id) == nil)
            #expect(try await test.backend.keys.keys(of: Tenant.ID(987_654)).isEmpty)
            // Ids that differ in case only are different.
            let swapped = String(
                keys[0].id.text.map { $0.isUppercase ? Character($0.lowercased()) : Character($0.uppercased()) })
            #expect(try await test.backend.keys.key(try #require(AccessKey.ID(swapped))) == nil)
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aKeyIsRevokedOnce(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let key = key(test)
            let other = Tenant.Token.random()
            _ = try await apply(test, .addKey(key), .create(name: "b", token: other))
            let stranger = try #require(try await test.backend.tenants.id(of: other))
            let refused = try await apply(
                test, .revokeKey(key.id, of: stranger), .revokeKey(.random(), of: test.tenant))
            for result in refused { #expect(throws: ChatError.notFound) { try result.get() } }
            #expect(try await test.backend.keys.key(key.id)?.revokedAt == nil)
            let time = TestBackend.time.adding(.seconds(7))
            for seconds in [7, 99] {
                let results = try await apply(
                    test, at: TestBackend.time.adding(.seconds(seconds)), .revokeKey(key.id, of: test.tenant))
                #expect((try? results[0].get()) != nil)
            }
            #expect(try await test.backend.keys.key(key.id)?.revokedAt == time)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func keysAreBounded(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            var keys: [ApplicationKey] = []
            for _ in 0..<ApplicationKey.most { keys.append(key(test)) }
            for result in try await test.backend.tenantLog.apply(keys.map { .addKey($0) }, at: TestBackend.time) {
                _ = try result.get()
            }
            let results = try await apply(
                test, .addKey(key(test)), .revokeKey(keys[0].id, of: test.tenant), .addKey(key(test)))
            #expect(throws: ChatError.tooManyKeys) { try results[0].get() }
            // A revoked one still counts, or a loop would fill the table.
            #expect(throws: ChatError.tooManyKeys) { try results[2].get() }
            let later = TestBackend.time.adding(.seconds(31 * 86_400))
            let new = key(test, createdAt: later)
            let added = try await apply(test, at: later, .addKey(new))
            #expect(throws: Never.self) { try added[0].get() }
            #expect(try await test.backend.keys.key(keys[0].id) == nil)
            #expect(try await test.backend.keys.keys(of: test.tenant).count == ApplicationKey.most)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aUseIsStoredOnceAMinute(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let key = key(test)
            _ = try await apply(test, .addKey(key))
            for (seconds, expected) in [(0, 0), (59, 0), (60, 60), (30, 60), (119, 60), (121, 121)] {
                let uses = [key.id: TestBackend.time.adding(.seconds(seconds)), .random(): TestBackend.time]
                _ = try await apply(test, .useKeys(uses))[0].get()
                let used = try await test.backend.keys.key(key.id)?.lastUsedAt
                #expect(used == TestBackend.time.adding(.seconds(expected)), "\(seconds)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aTenantIsFoundByBothNames(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let tenant = try #require(try await test.backend.tenants.tenant(test.tenant))
            #expect(tenant.pathToken == .credential)
            let identity = Tenant.Identity(id: test.tenant, token: test.token, pathToken: .credential)
            #expect(try await test.backend.tenants.identity(of: .token(test.token)) == identity)
            #expect(try await test.backend.tenants.identity(of: .publicID(tenant.publicID)) == identity)
            #expect(try await test.backend.tenants.identity(of: .publicID(.random())) == nil)
            // MySQL's usual collation would find it.
            let swapped = String(
                tenant.publicID.text.enumerated().map { index, character in
                    index < 4
                        ? character
                        : character.isUppercase ? Character(character.lowercased()) : Character(character.uppercased())
                })
            #expect(
                try await test.backend.tenants.identity(of: .publicID(try #require(Tenant.PublicID(swapped)))) == nil)

            for value in Tenant.PathToken.allCases.reversed() {
                _ = try await apply(test, .update(test.tenant, pathToken: value))[0].get()
                let changed = try #require(try await test.backend.tenants.tenant(test.tenant))
                #expect(
                    changed.pathToken == value && changed.name == tenant.name && changed.publicID == tenant.publicID)
                #expect(try await test.backend.tenants.identity(of: .token(test.token))?.pathToken == value)
            }
            let (token, id) = (Tenant.Token.random(), Tenant.PublicID.random())
            _ = try await apply(test, .create(name: "b", token: token, publicID: id, pathToken: .off))[0].get()
            let new = try #require(try await test.backend.tenants.identity(of: .publicID(id)))
            #expect(new.token == token && new.pathToken == .off)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func tenantsAreListedInPages(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            for name in ["b", "c", "d", "e"] {
                _ = try await apply(test, .create(name: name, token: .random()))[0].get()
            }
            let chat = try await test.makeChat()
            try await test.send(["x", "y"], to: chat)
            let (all, hasMore) = try #require(try await test.backend.tenants.tenants(after: nil, limit: 5))
            #expect(all.map(\.name) == ["test", "b", "c", "d", "e"] && !hasMore)
            #expect(all[0].chatsCount == 1 && all[0].messagesCount == 2 && all[1].messagesCount == 0)
            #expect(try await test.backend.tenants.tenant(test.tenant) == all[0])
            let page = try await test.backend.tenants.tenants(after: all[1].publicID, limit: 2)
            #expect(page?.tenants.map(\.name) == ["c", "d"] && page?.hasMore == true)
            #expect(try await test.backend.tenants.tenants(after: all[4].publicID, limit: 2)?.tenants == [])
            #expect(try await test.backend.tenants.tenants(after: .random(), limit: 2) == nil)
        }
    }
}
