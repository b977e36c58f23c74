/// Checks user tokens against what is stored: the keys of their application, and the standing of their user.
///
/// Both are looked up once and kept until a change is heard of, so that most tokens need no store. A user is looked up only
/// for a token whose signature is right: a stranger can neither ask for users nor make rows.
final class UserAuthority: Sendable {
    private struct Keyring: Sendable {
        let keys: [UserTokenKey.ID: KnownKey<UserTokenKey>]
        let validAfter: Timestamp?
    }

    private struct Address: Hashable {
        let tenant: Tenant.ID
        let user: User.ID
    }

    let usage = KeyUsage<TokenKeyAddress>()
    private let tokens: UserTokenCache
    private let keyrings: ImmutableCache<Tenant.ID, Keyring>
    /// Without what counts for all users of a tenant. Only of users who are stored.
    private let standings: ImmutableCache<Address, UserStanding>
    private let store: any UserStore
    private let clock: WallClock
    private let writer: TenantWriter
    private let takesDemoKeys: Bool

    init(backend: Backend, policy: AccessPolicy, clock: WallClock, writer: TenantWriter) {
        self.store = backend.users
        self.clock = clock
        self.writer = writer
        self.takesDemoKeys = policy.takesDemoKeys
        self.tokens = UserTokenCache(maxLifetime: policy.tokenMaxLifetime)
        self.keyrings = ImmutableCache(capacity: 4096, epoch: backend.epoch)
        self.standings = ImmutableCache(capacity: 65_536, epoch: backend.epoch)
    }

    /// Reads a token; nothing of it is proven.
    func read(_ text: String) throws(ChatError) -> ShownToken {
        do { return try tokens.read(text, at: clock.now()) } catch { throw ChatError(error) }
    }

    /// - Parameter tenant: the one that the token names.
    /// - Returns: nil if something has to be looked up.
    func known(_ shown: ShownToken, of tenant: Tenant.ID) throws(ChatError) -> UserToken? {
        guard let keyring = keyrings[tenant] else { return nil }
        let token = try verified(shown, keyring, tenant)
        guard let standing = standings[Address(tenant: tenant, user: token.user)] else { return nil }
        try check(token, standing, keyring)
        return token
    }

    /// The key that a token names, as far as it is known.
    func knownKey(of shown: ShownToken, in tenant: Tenant.ID) -> UserTokenKey? {
        keyrings[tenant]?.keys[shown.token.keyID]?.key
    }

    /// Stores the user at the first use.
    func find(_ shown: ShownToken, of tenant: Tenant.Identity) async throws -> UserToken {
        let keyring = try await keyring(of: tenant.id)
        let token = try verified(shown, keyring, tenant.id)
        try check(token, try await standing(of: token.user, tenant), keyring)
        return token
    }

    /// Checks a verified token as of now.
    func check(_ token: UserToken, of tenant: Tenant.ID) async throws {
        let keyring = try await keyring(of: tenant)
        let address = Address(tenant: tenant, user: token.user)
        let standing = if let known = standings[address] { known } else { try await lookUp(address) }
        try check(key: token, keyring)
        try check(token, standing ?? UserStanding(), keyring)
    }

    /// How a verified token has ended by itself, for what is open with it: there is no leeway for that.
    func end(of token: UserToken, of tenant: Tenant.ID) -> StreamEnd? {
        if token.expiresAt <= clock.now() { return .expired }
        // Without its keys, its next use looks them up.
        guard let keyring = keyrings[tenant] else { return nil }
        do throws(ChatError) { try check(key: token, keyring) } catch { return .revoked }
        return nil
    }

    func forgetKeys(of tenant: Tenant.ID) { keyrings.forget(tenant) }

    func forget(_ user: User.ID, of tenant: Tenant.ID) { standings.forget(Address(tenant: tenant, user: user)) }

    func forgetAll() {
        keyrings.forgetAll()
        standings.forgetAll()
    }

    // MARK: The checks

    private func verified(
        _ shown: ShownToken, _ keyring: Keyring, _ tenant: Tenant.ID
    ) throws(ChatError) -> UserToken {
        let now = clock.now()
        do {
            let token = try tokens.verify(shown, for: shown.token.audience, at: now) { keyring.keys[$0]?.key }
            if keyring.keys[token.keyID]?.use(at: now) == true {
                usage.note(TokenKeyAddress(tenant: tenant, key: token.keyID), at: now)
            }
            return token
        } catch {
            throw ChatError(error)
        }
    }

    private func check(key token: UserToken, _ keyring: Keyring) throws(ChatError) {
        guard let key = keyring.keys[token.keyID]?.key else { throw .unauthorized(.userToken(.revoked)) }
        do { try token.check(key, for: token.audience, at: clock.now()) } catch { throw ChatError(error) }
    }

    private func check(
        _ token: UserToken, _ standing: UserStanding, _ keyring: Keyring
    ) throws(ChatError) {
        do {
            try token.check(standing)
            try token.check(UserStanding(validAfter: keyring.validAfter))
        } catch {
            throw ChatError(error)
        }
    }

    // MARK: The look-ups

    private func keyring(of tenant: Tenant.ID) async throws -> Keyring {
        if let keyring = keyrings[tenant] { return keyring }
        guard let keyring = try await lookUpKeyring(of: tenant) else {
            throw ChatError.unauthorized(.userToken(.invalid(.key)))
        }
        return keyring
    }

    /// Looks the keys up, whatever is known.
    ///
    /// - Parameter tenant: nil to take as long as for one that is there.
    func lookUpKeys(of tenant: Tenant.ID?) async throws {
        // No row has the id 0.
        _ = try await lookUpKeyring(of: tenant ?? Tenant.ID(0))
    }

    private func lookUpKeyring(of tenant: Tenant.ID) async throws -> Keyring? {
        let version = keyrings.version
        guard let stored = try await store.tokenKeys(of: tenant) else { return nil }
        let keys = stored.keys.filter { takesDemoKeys || !$0.key.id.isDemo }
            .map { ($0.key.id, KnownKey($0.key, lastUsedAt: $0.lastUsedAt)) }
        let keyring = Keyring(keys: Dictionary(keys) { first, _ in first }, validAfter: stored.validAfter)
        keyrings.insert(keyring, for: tenant, at: version)
        return keyring
    }

    private func standing(of user: User.ID, _ tenant: Tenant.Identity) async throws -> UserStanding {
        let address = Address(tenant: tenant.id, user: user)
        if let standing = standings[address] { return standing }
        if let standing = try await lookUp(address) { return standing }
        // Wait for the row: a create of the user needs it, so that a block that comes first finds something to lock.
        _ = try await writer.submit(.users(.add(user), of: tenant.id, token: tenant.token))
        return try await lookUp(address) ?? UserStanding()
    }

    private func lookUp(_ address: Address) async throws -> UserStanding? {
        let version = standings.version
        guard let user = try await store.user(address.user, in: address.tenant) else { return nil }
        let standing = user.standing(nil)
        standings.insert(standing, for: address, at: version)
        return standing
    }
}
