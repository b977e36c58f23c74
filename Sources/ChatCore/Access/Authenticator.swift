import Synchronization

/// A principal's permission in a tenant.
struct Grant: Sendable {
    let principal: Principal
    let name: Tenant.Name
    let tenant: Tenant.Identity
    let abilities: Abilities
    /// `Backend.epoch` when the tenant was looked up.
    let epoch: UInt64
    /// The user's.
    var userToken: UserToken?
}

/// Finds the principal behind a request's credentials, and what it may do.
///
/// Tenants and keys are looked up once and then kept, so most requests need no store. `MessageBus` tells of changes: then
/// they are forgotten, and what a principal has open ends if the principal is refused from now on.
///
/// The order of the checks decides what a stranger learns. Credentials come first: with wrong ones, every path gets the
/// same 401. Then the application: one that does not exist and one that the key does not belong to are the same 404, after
/// the same look-ups. So nobody is refused for what is kept of an application: it is looked up again, as what is not there
/// is each time.
final class Authenticator: Sendable {
    /// What was proven of an `Authorization`.
    enum Proof {
        case none
        case admin(AccessKey.ID)
        case key(ApplicationKey)
        /// - Parameter tenant: the one that the token names, and whose key has signed it.
        case user(UserToken, tenant: Tenant.ID)
    }

    /// What may be open to somebody who is refused now.
    private enum Doubt: Hashable {
        case principal(Principal)
        case tenant(Tenant.ID)
        case all
    }

    let openings = Openings()
    private let reviews = ReviewQueue<Doubt>(everything: .all)
    let usage = KeyUsage<AccessKey.ID>()
    let users: UserAuthority
    let tickets: TicketSeal
    /// Rises whenever something is forgotten, after it.
    private let forgotten = Atomic<UInt64>(0)
    let tenants: ImmutableCache<Tenant.Name, Tenant.Identity>
    private let keys: ImmutableCache<AccessKey.ID, KnownKey<ApplicationKey>>
    private let backend: Backend
    private let policy: AccessPolicy
    private let clock: WallClock

    /// - Parameter writer: stores users at their first use.
    init(backend: Backend, policy: AccessPolicy, clock: WallClock, writer: TenantWriter) {
        self.users = UserAuthority(backend: backend, policy: policy, clock: clock, writer: writer)
        self.tickets = TicketSeal(key: backend.ticketKey)
        self.backend = backend
        self.policy = policy
        self.clock = clock
        self.tenants = ImmutableCache(capacity: 16_384, epoch: backend.epoch)
        self.keys = ImmutableCache(capacity: 16_384, epoch: backend.epoch)
    }

    /// The grant for credentials, where nothing has to be looked up.
    ///
    /// - Returns: nil where it has.
    /// - Throws: the errors of `find`.
    func known(_ credentials: Credentials) throws(ChatError) -> Grant? {
        let epoch = backend.epoch()
        guard let proof = try knownProof(credentials.authorization) else { return nil }
        let name = try name(credentials.application, proof)
        return try knownGrant(proof, name, epoch)
    }

    /// - Returns: nil for an application that is not known, or not there for who asks.
    private func knownGrant(
        _ proof: Proof, _ name: Tenant.Name, _ epoch: UInt64
    ) throws(ChatError) -> Grant? {
        guard let tenant = tenants[name] else { return nil }
        do throws(ChatError) { return try grant(proof, name, tenant, epoch) } catch {
            if case .notFound = error { return nil }
            throw error
        }
    }

    /// The grant for credentials.
    ///
    /// - Throws: `ChatError.unauthorized`, `.userBlocked`, `.ambiguousCredentials`; `.notFound` for an application that is
    ///   not there, or that the credentials do not open.
    func find(_ credentials: Credentials) async throws -> Grant {
        // Read the epoch first: if it rises meanwhile, the result only counts as older than it is.
        let epoch = backend.epoch()
        let proof = try await proof(credentials.authorization)
        let name = try name(credentials.application, proof)
        if let grant = try knownGrant(proof, name, epoch) { return grant }
        return try grant(proof, name, await lookUp(name), epoch)
    }

    /// The grant of a principal that was found before, as of now.
    ///
    /// - Throws: likewise.
    func renew(_ principal: Principal, _ name: Tenant.Name, _ userToken: UserToken?) async throws -> Grant {
        let epoch = backend.epoch()
        let proof: Proof
        switch principal {
        case .admin(let id): proof = .admin(id)
        case .applicationKey(let id): proof = .key(try checked(await key(id)))
        case .pathToken: proof = .none
        case .user:
            guard let userToken else { throw ChatError.unauthorized(.required) }
            // On another server it may have another id.
            let tenant = try await named(by: userToken)
            try await users.check(userToken, of: tenant.id)
            proof = .user(userToken, tenant: tenant.id)
        }
        return try grant(proof, name, await tenant(name), epoch)
    }

    /// The server's own key in an `Authorization`.
    ///
    /// - Returns: nil if it shows something else that is valid, or nothing.
    /// - Throws: `ChatError.unauthorized`, `.ambiguousCredentials`.
    func admin(_ authorization: Authorization) async throws -> Principal? {
        if case .admin(let id) = try await proof(authorization) { .admin(id) } else { nil }
    }

    /// A principal was revoked: from now on it is looked up again, and what it has open ends.
    func revoke(_ principal: Principal, _ reason: StreamEnd = .revoked) {
        // First, so that later openings look the principal up again.
        forget(principal)
        openings.revoke(principal, reason)
    }

    /// Something about a principal has changed: from now on it is looked up again, and what it has open ends soon if it
    /// is refused.
    ///
    /// - Parameter principal: nil for all.
    func noteChange(of principal: Principal?) {
        guard let principal else {
            forgetAll()
            return ask(for: .all)
        }
        forget(principal)
        if openings.has(principal) { ask(for: .principal(principal)) }
    }

    /// The same for everyone in a tenant.
    func noteChange(of tenant: Tenant.ID) {
        forget(tenant)
        ask(for: .tenant(tenant))
    }

    private func ask(for doubt: Doubt) {
        reviews.ask(for: doubt) { [self] doubt in
            switch doubt {
            case .principal(let principal): await reviewOpen { $0.principal == principal }
            case .tenant(let tenant): await reviewOpen { $0.tenant == tenant }
            case .all: await reviewOpen { _ in true }
            }
        }
    }

    /// Something about a principal may have changed: what it has open ends if it is refused from now on.
    func review(_ principal: Principal) async {
        forget(principal)
        await reviewOpen { $0.principal == principal }
    }

    /// The same for everyone who has something open in a tenant.
    func review(_ tenant: Tenant.ID) async {
        forget(tenant)
        await reviewOpen { $0.tenant == tenant }
    }

    private func reviewOpen(where condition: (Opening) -> Bool) async { await review(openings.all(where: condition)) }

    /// Without an answer of the store they stay, and are looked at again (`endExpired`).
    private func review(_ open: [Opening]) async {
        for opening in open { opening.isInDoubt = true }
        for opening in open {
            do {
                _ = try await renew(opening.principal, opening.name, opening.token)
            } catch {
                switch error as? ChatError {
                case .unauthorized(.expired), .unauthorized(.userToken(.expired)): opening.revoke(.expired)
                case .userBlocked: opening.revoke(.blocked)
                case .unauthorized, .notFound, .suspended: opening.revoke()
                // It would be the same for the others.
                default: return
                }
            }
            opening.isInDoubt = false
        }
    }

    /// Ends what everyone but the server's own keys has open in a tenant, and looks it up again from now on.
    func end(_ tenant: Tenant.ID) {
        forget(tenant)
        for opening in openings.all(where: { $0.tenant == tenant }) {
            if case .admin = opening.principal { continue }
            opening.revoke()
        }
    }

    /// Ends what was opened with keys that have expired since, and under tokens that have ended.
    func endExpired() async {
        await review(openings.all(where: \.isInDoubt))
        await endOldTokens()
        for opening in openings.all(where: { $0.token != nil }) {
            if let end = opening.token.flatMap({ users.end(of: $0, of: opening.tenant) }) { opening.revoke(end) }
        }
        for case .applicationKey(let id) in openings.principals {
            guard let known = keys[id] else {
                await review(.applicationKey(id))
                continue
            }
            switch known.key.state(at: clock.now()) {
            case .active: break
            case .expired: openings.revoke(.applicationKey(id), .expired)
            case .revoked: openings.revoke(.applicationKey(id))
            }
        }
    }

    private func endOldTokens() async {
        let open = openings.all { opening in if case .token = opening.name { true } else { false } }
        var unknown: [Opening] = []
        for opening in open {
            guard let tenant = tenants[opening.name] else {
                unknown.append(opening)
                continue
            }
            if let end = tenant.deprecation?.until, end <= clock.now() { opening.revoke() }
        }
        await review(unknown)
    }

    /// The number of changes that were heard of: a grant from before the last one may no longer be right.
    var changes: UInt64 { forgotten.load(ordering: .acquiring) }

    func forgetAll() {
        defer { forgotten.add(1, ordering: .releasing) }
        tenants.forgetAll()
        keys.forgetAll()
        users.forgetAll()
    }

    func forget(_ tenant: Tenant.ID) {
        defer { forgotten.add(1, ordering: .releasing) }
        tenants.forget { $0.id == tenant }
        users.forgetKeys(of: tenant)
    }

    private func forget(_ principal: Principal) {
        defer { forgotten.add(1, ordering: .releasing) }
        switch principal {
        case .admin: break
        case .applicationKey(let id): keys.forget(id)
        case .pathToken(let token): tenants.forget(.token(token))
        case .user(let tenant, let user): users.forget(user, of: tenant)
        }
    }

    // MARK: The checks

    /// - Returns: nil if the key must be looked up.
    private func knownProof(_ authorization: Authorization) throws(ChatError) -> Proof? {
        switch authorization {
        case .none: return Proof.none
        case .invalid: throw .unauthorized(.invalid)
        case .several: throw .ambiguousCredentials
        case .key(let key):
            switch key.kind {
            case .admin:
                guard policy.admits(key) else { throw .unauthorized(.invalid) }
                return .admin(key.id)
            case .webhook: throw .unauthorized(.invalid)
            case .application: return try keys[key.id].map { known throws(ChatError) in try proof(key, known) }
            }
        case .userToken(let text):
            let shown = try users.read(text)
            guard let tenant = tenants[try Self.name(of: shown.token)],
                let token = try users.known(shown, of: tenant.id)
            else { return nil }
            return .user(token, tenant: tenant.id)
        // Opened once, where it is looked up: a stream lasts long enough.
        case .ticket: return nil
        }
    }

    private func proof(_ authorization: Authorization) async throws -> Proof {
        // What is kept may not refuse it.
        if case .userToken(let text) = authorization { return try await proof(users.read(text)) }
        if let proof = try knownProof(authorization) { return proof }
        switch authorization {
        case .key(let key): return try proof(key, await self.key(key.id))
        case .ticket(let text):
            let token: UserToken
            do { token = try tickets.open(text, at: clock.now()) } catch { throw ChatError(error) }
            let tenant = try await named(by: token)
            try await users.check(token, of: tenant.id)
            return .user(token, tenant: tenant.id)
        case .none, .invalid, .several, .userToken: return .none
        }
    }

    private func proof(_ shown: AccessKey, _ known: KnownKey<ApplicationKey>) throws(ChatError) -> Proof {
        // The secret first: only who has it learns more.
        guard shown.digest == known.key.digest else { throw .unauthorized(.invalid) }
        return .key(try checked(known))
    }

    /// The key, if it is in force.
    private func checked(_ known: KnownKey<ApplicationKey>) throws(ChatError) -> ApplicationKey {
        let now = clock.now()
        switch known.key.state(at: now) {
        case .active: break
        case .expired: throw .unauthorized(.expired)
        case .revoked: throw .unauthorized(.revoked)
        }
        if known.use(at: now) { usage.note(known.key.id, at: now) }
        return known.key
    }

    private func name(_ text: Substring, _ proof: Proof) throws(ChatError) -> Tenant.Name {
        guard let name = Tenant.Name(text) else { throw .notFound }
        // Without a look-up, so that it does not tell whether there is such an application.
        if case (.none, .publicID) = (proof, name) { throw .unauthorized(.required) }
        return name
    }

    private func grant(
        _ proof: Proof, _ name: Tenant.Name, _ tenant: Tenant.Identity, _ epoch: UInt64
    ) throws(ChatError) -> Grant {
        var pathToken: Tenant.PathToken?
        var token = tenant.token
        if case .token(let shown) = name { (pathToken, token) = (tenant.pathToken, shown) }
        guard isThere(tenant, name) else { throw .notFound }
        let (principal, abilities): (Principal, Abilities)
        var userToken: UserToken?
        switch proof {
        case .none:
            guard pathToken == .credential else { throw .unauthorized(.required) }
            (principal, abilities) = (.pathToken(token), .all)
        case .admin(let id): (principal, abilities) = (.admin(id), [.all, .server])
        case .key(let key):
            // A token that is a credential of another application contradicts the key. Else the application looks the
            // same as none.
            guard key.tenant == tenant.id else {
                throw pathToken == .credential ? .ambiguousCredentials : .notFound
            }
            (principal, abilities) = (.applicationKey(key.id), key.scopes.intersection(.all))
        case .user(let token, let owner):
            guard owner == tenant.id else { throw pathToken == .credential ? .ambiguousCredentials : .notFound }
            // The narrower of the two where the path's token is a credential, too.
            (principal, abilities) = (.user(tenant.id, token.user), token.isReadOnly ? .read : [.read, .write])
            userToken = token
        }
        if tenant.isSuspended, !abilities.contains(.server) { throw .suspended }
        return Grant(
            principal: principal, name: name, tenant: tenant, abilities: abilities, epoch: epoch, userToken: userToken)
    }

    /// Whether an application can be reached by this name of its own.
    func isThere(_ tenant: Tenant.Identity, _ name: Tenant.Name) -> Bool {
        guard case .token = name else { return true }
        return tenant.pathToken != .off && tenant.deprecation.map { clock.now() < $0.until } != false
    }

    // MARK: The look-ups

    /// What is behind a name, where it need not be looked up.
    func knownTenant(_ name: Tenant.Name) -> Tenant.Identity? { tenants[name] }

    /// - Throws: `ChatError.notFound`.
    func tenant(_ name: Tenant.Name) async throws -> Tenant.Identity {
        if let tenant = tenants[name] { return tenant }
        return try await lookUp(name)
    }

    /// - Throws: likewise.
    func lookUp(_ name: Tenant.Name) async throws -> Tenant.Identity {
        let version = tenants.version
        guard let tenant = try await backend.tenants.identity(of: name) else { throw ChatError.notFound }
        tenants.insert(tenant, for: name, at: version)
        return tenant
    }

    private func key(_ id: AccessKey.ID) async throws -> KnownKey<ApplicationKey> {
        if let key = keys[id] { return key }
        let version = keys.version
        guard let key = try await backend.keys.key(id) else { throw ChatError.unauthorized(.invalid) }
        let known = KnownKey(key, lastUsedAt: key.lastUsedAt)
        keys.insert(known, for: id, at: version)
        return known
    }
}
