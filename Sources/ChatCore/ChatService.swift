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
    package let hub: Hub
    private let clockWatch: ClockWatch
    package let scans: ScanGate
    let engine: EngineSearch?
    let tenantIDs: ImmutableCache<Tenant.Token, Tenant.ID>
    let chatIDs: ImmutableCache<ChatAddress, Chat.ID>
    let openings = Openings()

    /// - Parameters:
    ///   - limits: for each of the three writers, except the number of batches in flight, which the backend sets.
    ///   - streams: for live readers.
    ///   - clock: gives rows their time.
    ///   - engine: nil if the store answers all searches.
    package init(
        backend: Backend,
        limits: CommitLimits = CommitLimits(),
        streams: StreamLimits = StreamLimits(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system,
        engine: EngineSearch? = nil,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.backend = backend
        self.tenantIDs = ImmutableCache(capacity: 16_384, epoch: backend.epoch)
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
        self.clockWatch = ClockWatch(clock: clock, logger: logger)
        self.engine = engine
        self.scans = ScanGate(executors: backend.searchExecutors, time: time) { [chatWriter] in chatWriter.isBusy }
        self.hub = Hub(
            backend: backend, limits: streams, time: time, clock: clock, logger: logger, metrics: metrics
        ) { [tenantIDs, openings] event in
            switch event {
            case .revoked(let principal):
                // First, so that later openings look the principal up again.
                switch principal {
                case .pathToken(let token): tenantIDs.forget(token)
                }
                openings.revoke(principal)
            case .gap: tenantIDs.forgetAll()
            case .committed: break
            }
        }
    }

    /// The services that must run while this one is in use: first the backend's, then the writers, which drain before
    /// the backend stops.
    package var services: [any Service] { backend.services + [clockWatch, tenantWriter, newChatWriter, chatWriter] }

    /// The same with the given server. It stops after the live streams have ended, which it would wait for, and before
    /// the writers, which it uses.
    package func services(around server: any Service) -> [any Service] { services + [server, hub] }

    /// Creates a tenant with a fresh token.
    ///
    /// - Throws: `ChatError.invalid` for a bad name; what `GroupCommit.submit` throws.
    package func createTenant(name: String) async throws -> Tenant.Token {
        try Text.checkName(name)
        let token = Tenant.Token.random()
        try await tenantWriter.submit(.create(name: name, token: token))
        return token
    }

    /// The access of the principal with these credentials.
    ///
    /// - Throws: `ChatError.notFound` if they belong to no principal.
    package func access(_ credentials: Credentials) async throws -> Access {
        guard let token = Tenant.Token(credentials.pathToken) else { throw ChatError.notFound }
        return try await access(.pathToken(token))
    }

    /// The same, where nothing has to be looked up.
    ///
    /// - Returns: nil where it has.
    package func knownAccess(_ credentials: Credentials) -> Access? {
        guard let token = Tenant.Token(credentials.pathToken) else { return nil }
        let epoch = backend.epoch()
        guard let id = tenantIDs[token] else { return nil }
        return Access(.pathToken(token), to: id, token, epoch: epoch, abilities: .all, service: self)
    }

    /// The same for a principal that is known, as of now.
    func access(_ principal: Principal) async throws -> Access {
        // Read the epoch first: if it rises meanwhile, the result only counts as older than it is.
        let epoch = backend.epoch()
        switch principal {
        case .pathToken(let token):
            let id = try await tenantID(token)
            return Access(principal, to: id, token, epoch: epoch, abilities: .all, service: self)
        }
    }

    private func tenantID(_ token: Tenant.Token) async throws -> Tenant.ID {
        if let id = tenantIDs[token] { return id }
        let version = tenantIDs.version
        guard let id = try await backend.tenants.id(of: token) else { throw ChatError.notFound }
        tenantIDs.insert(id, for: token, at: version)
        return id
    }

    /// Makes every process forget a principal and end its openings; other processes learn of it over the bus.
    package func revoke(_ principal: Principal) { backend.bus.revoke(principal) }
}

/// A chat by its public names.
struct ChatAddress: Hashable, Sendable {
    let tenant: Tenant.ID
    let number: Chat.Number
}
