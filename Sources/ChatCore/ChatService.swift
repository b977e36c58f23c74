package import Logging
package import Metrics
package import ServiceLifecycle

/// The use cases. Everything is reached through what owns it: a chat through its tenant, a message through its chat,
/// so that no call can be written that forgets whose data it touches.
package final class ChatService: Sendable {
    package let backend: Backend
    let chatWriter: ChatWriter
    let newChatWriter: NewChatWriter
    let tenantWriter: TenantWriter
    let changeWriter: ChangeWriter
    let readWriter: ReadWriter
    let receipts: Receipts
    let tails: ChatTails
    package let hub: Hub
    let typing: TypingPace
    let presence: Presence
    private let clockWatch: ClockWatch
    let clock: WallClock
    package let scans: ScanGate
    let engine: EngineSearch?
    let chatIDs: ImmutableCache<ChatAddress, Chat.ID>
    let authenticator: Authenticator
    let memberships: Memberships
    let limiter: Limiter
    private let accessUpkeep: AccessUpkeep
    private let versionUpkeep: VersionUpkeep
    package let policy: AccessPolicy
    /// How long after the request an application is deleted.
    let deletionDelay: Duration
    /// How long messages may be edited.
    let edits: EditRules

    /// - Parameters:
    ///   - limits: for each of the five writers, except the number of batches in flight, which the backend sets.
    ///   - streams: for live readers.
    ///   - policy: who may create applications.
    ///   - rates: the limits of requests.
    ///   - deletionDelay: how long after the request an application is deleted; until then it can be resumed.
    ///   - edits: how long messages may be edited, and what is kept of them.
    ///   - clock: gives rows their time.
    ///   - engine: nil if the store answers all searches.
    package init(
        backend: Backend,
        limits: CommitLimits = CommitLimits(),
        streams: StreamLimits = StreamLimits(),
        policy: AccessPolicy = .open,
        rates: LimitDefaults = LimitDefaults(),
        deletionDelay: Duration = .seconds(30 * 86_400),
        edits: EditRules = EditRules(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system,
        engine: EngineSearch? = nil,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.backend = backend
        self.policy = policy
        self.deletionDelay = deletionDelay
        self.edits = edits
        self.clock = clock
        let memberships = Memberships(backend: backend)
        self.memberships = memberships
        self.typing = TypingPace(time: time)
        self.limiter = Limiter(rates, shared: backend.rateBuckets, time: time)
        self.chatIDs = ImmutableCache(capacity: 65_536, epoch: backend.epoch)
        let executor = backend.writeExecutor
        var limits = limits
        limits.batchesInFlight = backend.batchesInFlight
        self.chatWriter = ChatWriter(
            name: "messages", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics
        ) { try await backend.chatLog.apply($0, at: clock.now(), within: $1) }
        self.newChatWriter = NewChatWriter(
            name: "chats", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics
        ) { try await backend.newChatLog.append($0, at: clock.now(), within: $1) }
        self.tenantWriter = TenantWriter(
            name: "applications", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics
        ) { try await backend.tenantLog.apply($0, at: clock.now(), within: $1) }
        // Each of its messages is locked until its end.
        var changing = limits
        changing.batchEntries = min(limits.batchEntries, 64)
        self.changeWriter = ChangeWriter(
            name: "edits", limits: changing, time: time, executor: executor, logger: logger, metrics: metrics
        ) { try await backend.changes.revise($0, at: clock.now(), within: $1) }
        let receipts = Receipts(backend: backend, time: time)
        self.receipts = receipts
        self.readWriter = ReadWriter(
            name: "reads", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics
        ) { batch, time in
            let epoch = backend.epoch()
            let results = try await backend.reads.mark(batch, within: time)
            for (mark, result) in zip(batch, results) {
                // That somebody marks messages unread is nobody else's business.
                guard mark.lowersFrom == nil, case .success(let stored) = result, stored.isShown else { continue }
                receipts.note(ReadReceipt(user: mark.user, number: stored.number), in: mark.chat.id, epoch: epoch)
            }
            return results
        }
        self.tails = ChatTails(backend: backend, clock: clock)
        let authenticator = Authenticator(backend: backend, policy: policy, clock: clock, writer: tenantWriter)
        self.authenticator = authenticator
        let presence = Presence(
            store: backend.presence ?? LocalPresence(time: time), bus: backend.bus, time: time
        ) { await authenticator.presentUsers() }
        self.presence = presence
        self.clockWatch = ClockWatch(clock: clock, logger: logger)
        self.engine = engine
        self.scans = ScanGate(executors: backend.searchExecutors, time: time) { [chatWriter] in
            chatWriter.isBusy || backend.isWritten()
        }
        self.hub = Hub(
            backend: backend, memberships: memberships, limits: streams, time: time, clock: clock, logger: logger,
            metrics: metrics
        ) { event in
            switch event {
            case .revoked(let principal, let isBlocked):
                authenticator.revoke(principal, isBlocked ? .blocked : .revoked)
                guard isBlocked, case .user(let tenant, let user) = principal else { break }
                Task.detached { await presence.remove(PresentUser(tenant: tenant, user: user)) }
            case .online(let users): presence.hear(users)
            case .changed(let principal):
                if principal == nil { memberships.forgetAll() }
                authenticator.noteChange(of: principal)
            case .tenantChanged(let id): authenticator.noteChange(of: id)
            case .members(let change): memberships.forget(change)
            case .gap:
                authenticator.forgetAll()
                memberships.forgetAll()
            case .committed, .revised, .signals: break
            }
        }
        self.accessUpkeep = AccessUpkeep(
            authenticator: authenticator, writer: tenantWriter, time: time, logger: logger)
        self.versionUpkeep = VersionUpkeep(
            changes: backend.changes, rules: edits, time: time, clock: clock, logger: logger)
    }

    /// The services that must run while this one is in use: first the backend's, then the writers, which drain before
    /// the backend stops.
    package var services: [any Service] {
        backend.services + [
            clockWatch, tenantWriter, newChatWriter, chatWriter, changeWriter, readWriter, presence, accessUpkeep,
            versionUpkeep,
        ]
    }

    /// The same with the given server. It stops after the live streams have ended, which it would wait for, and before
    /// the writers, which it uses.
    package func services(around server: any Service) -> [any Service] { services + [server, hub] }

    /// Creates a tenant with a fresh token and public id.
    ///
    /// The token of one that the server's own key makes opens nothing by itself.
    ///
    /// - Throws: `ChatError.unauthorized`, `.notAllowed`, `.ambiguousCredentials`; `.invalid` for a bad name; what
    ///   `GroupCommit.submit` throws.
    package func createTenant(
        name: String, by authorization: Authorization = .none, from client: IPAddress = .unspecified,
        source: RequestSource? = nil
    ) async throws -> NewTenant {
        let creator = try await creator(authorization, from: client)
        try Text.checkName(name)
        let new = NewTenant(token: .random(), publicID: .random())
        _ = try await tenantWriter.submit(
            .audited(
                .create(
                    name: name, token: new.token, publicID: new.publicID,
                    pathToken: creator == nil ? .credential : .identifier),
                AuditRecord(.createApplication, by: creator, source: source)))
        return new
    }

    /// Refuses at once who shows nothing, if that is not enough to create a tenant.
    ///
    /// - Throws: `ChatError.unauthorized`.
    package func checkMayCreateTenant(_ authorization: Authorization) throws(ChatError) {
        if case .none = authorization, !policy.isOpen { throw .unauthorized(.required) }
    }

    /// The server's own key that creates a tenant; nil for anyone, where anyone may.
    ///
    /// - Throws: `ChatError.unauthorized`, `.notAllowed`.
    private func creator(_ authorization: Authorization, from client: IPAddress) async throws -> Principal? {
        try checkMayCreateTenant(authorization)
        let admin = try await examine(authorization, from: client) { try await authenticator.admin(authorization) }
        if let admin { return admin }
        guard policy.isOpen else { throw ChatError.notAllowed }
        return nil
    }

    /// The scope of the server's own key.
    ///
    /// - Throws: `ChatError.unauthorized`, `.notAllowed`, `.ambiguousCredentials`.
    package func admin(
        _ authorization: Authorization, from client: IPAddress = .unspecified
    ) async throws -> AdminScope {
        if case .none = authorization { throw ChatError.unauthorized(.required) }
        let admin = try await examine(authorization, from: client) { try await authenticator.admin(authorization) }
        guard admin != nil else { throw ChatError.notAllowed }
        return AdminScope(service: self)
    }

    /// The access of the principal with these credentials.
    ///
    /// - Throws: `ChatError.unauthorized`, `.ambiguousCredentials`; `.notFound` for an application that is not there, or
    ///   that the credentials do not open; `.quotaExceeded` if too many credentials from there were not right.
    package func access(_ credentials: Credentials) async throws -> Access {
        Access(try await grant(credentials), from: credentials.client, service: self)
    }

    /// - Throws: likewise.
    func grant(_ credentials: Credentials) async throws -> Grant {
        try await examine(credentials.authorization, from: credentials.client) {
            try await authenticator.find(credentials)
        }
    }

    /// Looks at what a client shows, unless it has shown wrong credentials too often, and counts it if it is not right.
    private func examine<Result>(
        _ authorization: Authorization, from client: IPAddress, _ body: () async throws -> Result
    ) async throws -> Result {
        if case .none = authorization { return try await body() }
        try limiter.checkFailures(from: client)
        do {
            return try await body()
        } catch let error as ChatError {
            throw await limiter.noteFailure(error, from: client)
        }
    }

    /// Rises with each change of any principal that this process has heard of.
    package var accessChanges: UInt64 { authenticator.changes }

    /// The same, where nothing has to be looked up.
    ///
    /// - Returns: nil where it has.
    /// - Throws: likewise.
    package func knownAccess(_ credentials: Credentials) throws(ChatError) -> Access? {
        guard case .none = credentials.authorization else {
            try limiter.checkFailures(from: credentials.client)
            do {
                return try authenticator.known(credentials).map { Access($0, from: credentials.client, service: self) }
            } catch {
                // `access` counts it.
                return nil
            }
        }
        guard let grant = try authenticator.known(credentials) else { return nil }
        return Access(grant, from: credentials.client, service: self)
    }

    /// Whether pages of an origin may ask for the application that a path names.
    ///
    /// - Throws: `ChatError.unavailable`.
    package func allows(_ origin: String, of name: Substring) async throws -> Bool {
        guard let name = Tenant.Name(name) else { return false }
        return try await authenticator.allows(origin, of: name)
    }

    /// Whether pages of an origin may read why credentials of the path's application are refused. They may not where the
    /// answer would tell a stranger that there is such an application.
    package func allows(_ origin: String, with credentials: Credentials, refused error: any Error) async -> Bool {
        guard let error = error as? ChatError else { return false }
        // Without an answer of the store it is the more cautious one.
        return (try? await authenticator.tenant(of: credentials, refusedWith: error))?.allows(origin) == true
    }

    /// Makes every process forget a principal and end its openings; other processes learn of it over the bus.
    package func revoke(_ principal: Principal, isBlocked: Bool = false) {
        backend.bus.revoke(principal, isBlocked: isBlocked)
    }
}

/// The names of a tenant that was created.
package struct NewTenant: Sendable {
    package let token: Tenant.Token
    package let publicID: Tenant.PublicID
}

/// A chat by its public names.
struct ChatAddress: Hashable, Sendable {
    let tenant: Tenant.ID
    let number: Chat.Number
}
