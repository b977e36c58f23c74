package import Logging
package import Metrics
import ServiceLifecycle
import Synchronization

/// The live readers of this process. Each reader of a chat gets every message after its cursor, once, in number order,
/// however long it was disconnected and whatever the bus loses.
///
/// The bus publishes committed messages; the database is authoritative. A chat has a `Feed` as long as it has readers.
/// The feed starts at the store's highest number, and puts the bus' messages in order (`LogOrder`). It notices a lost
/// message by the gap before the next one, or by polling the store's highest number, and reads it from the store. A
/// reader with an older cursor reads from the store (`CatchUp`) until it reaches the feed.
///
/// `StreamLimits` bounds everything. At shutdown all readers end with `.goingAway`.
package final class Hub: Service {
    private struct Entry {
        let feed: Feed
        let opening: Task<ChatError?, Never>
        /// Subscriptions, including those that are still opening.
        var claims = 0
    }

    private struct State {
        var chats: [Chat.ID: Entry] = [:]
        /// The last request to the bus for each chat. A chat's requests run one after the other, so that the last one
        /// wins.
        var errands: [Chat.ID: (id: UInt64, task: Task<Void, Never>)] = [:]
        var subscriptions: FairShare<Tenant.ID>
        /// Of each address, which may have many tenants.
        var clients: [IPAddress: Int] = [:]
        var lastID: UInt64 = 0
        var isClosed = false

        mutating func newID() -> UInt64 {
            lastID += 1
            return lastID
        }
    }

    let source: StreamSource
    let bus: any MessageBus
    private let memberships: Memberships
    /// Of subscriptions that a change may have ended; nil: of all.
    private let reviews = ReviewQueue<MembersChanged?>(everything: nil)
    private let state: Mutex<State>

    /// - Parameter hears: also gets each event of the bus, before it acts on it.
    package convenience init(
        backend: Backend, limits: StreamLimits = StreamLimits(), time: Timekeeper = .continuous,
        clock: WallClock = .system, logger: Logger, metrics: any MetricsFactory,
        hears: @escaping @Sendable (BusEvent) -> Void = { _ in }
    ) {
        self.init(
            backend: backend, memberships: Memberships(backend: backend), limits: limits, time: time, clock: clock,
            logger: logger, metrics: metrics, hears: hears)
    }

    /// - Parameter hears: also gets each event of the bus, before it acts on it.
    init(
        backend: Backend, memberships: Memberships, limits: StreamLimits = StreamLimits(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system, logger: Logger, metrics: any MetricsFactory,
        hears: @escaping @Sendable (BusEvent) -> Void = { _ in }
    ) {
        self.bus = backend.bus
        self.memberships = memberships
        self.state = Mutex(State(subscriptions: FairShare(bound: limits.subscriptions)))
        self.source = StreamSource(
            backend: backend, limits: limits, time: time, clock: clock.neverAhead(by: time), logger: logger,
            metrics: StreamMetrics(factory: metrics))
        bus.listen { [weak self] event in
            hears(event)
            self?.hear(event)
        }
    }

    /// Starts to read a chat, for no user.
    package func subscribe(
        to chat: Chat.ID, of tenant: Tenant.ID, after cursor: Cursor?, hasChanges: Bool = false,
        hasReads: Bool = false, _ opening: Opening? = nil
    ) async throws(ChatError) -> ChatSubscription {
        try await subscribe(
            to: chat, of: tenant, after: cursor, hasChanges: hasChanges, hasReads: hasReads, opening, by: nil)
    }

    /// Starts to read a chat.
    ///
    /// - Parameters:
    ///   - tenant: the subscription counts against its share.
    ///   - client: likewise; nil for the server itself.
    ///   - cursor: where to start, however far back. Messages up to a cursor above the chat's highest number are never
    ///     delivered. Nil: the next message.
    ///   - hasChanges: whether it also gets what changes of the messages that it has; with a plain cursor, from the first
    ///     change on.
    ///   - hasReads: whether it is told how far others have read from now on.
    ///   - opening: kept as long as the subscription, which ends when it is revoked.
    ///   - viewer: the user whose subscription it is: it ends when the chat is not there for the user any more, or less
    ///     of it.
    /// - Throws: `.overloaded` at the limit or the tenant's share of it, `.shuttingDown`, `.unavailable` if the store
    ///   does not answer.
    func subscribe(
        to chat: Chat.ID, of tenant: Tenant.ID, from client: IPAddress? = nil, after cursor: Cursor?,
        hasChanges: Bool = false, hasReads: Bool = false, _ opening: Opening? = nil, by viewer: Viewer?
    ) async throws(ChatError) -> ChatSubscription {
        let (id, entry) = try claim(chat, tenant, client)
        let failure = await entry.opening.value
        if failure != nil { remove(entry.feed) }
        guard failure == nil,
            let start = entry.feed.join(
                id, after: cursor, hasChanges: hasChanges, hasReads: hasReads, by: viewer)
        else {
            release(entry.feed, tenant, client)
            throw failure ?? .shuttingDown
        }
        opening?.whenEnded { entry.feed.end(id, $0) }
        return ChatSubscription(id, of: entry.feed, after: start, source: source) { [self] in
            withExtendedLifetime(opening) { release(entry.feed, tenant, client) }
        }
    }

    /// Polls for messages that the bus missed, until shutdown; then ends all readers.
    package func run() async throws {
        await withTaskCancellationOrGracefulShutdownHandler {
            await cancelWhenGracefulShutdown { await self.keepLooking() }
        } onCancelOrGracefulShutdown: {
            self.close()
        }
    }

    /// Ends all readers, and refuses new ones.
    func close() {
        let feeds = state.withLock { state in
            state.isClosed = true
            return state.chats.values.map(\.feed)
        }
        for feed in feeds { feed.close(.goingAway) }
        source.chatReads.close()
        source.readerReads.close()
    }

    func feed(of chat: Chat.ID) -> Feed? { state.withLock { $0.chats[chat]?.feed } }

    /// The chats that have readers.
    var feeds: [Feed] { state.withLock { $0.chats.values.map(\.feed) } }

    /// Subscribes to a chat's messages on the bus again.
    ///
    /// - Returns: ends when the bus has answered; nil if the feed has no readers any more.
    func subscribeAgain(_ feed: Feed) -> Task<Void, Never>? {
        state.withLock { state in
            guard state.chats[feed.chat]?.feed === feed else { return nil }
            return send(&state, for: feed.chat) { feed.isHeard = await self.bus.subscribe(to: feed.chat) }
        }
    }

    /// Ends readers whose chat's id was looked up on another database server, where it may mean another chat. They
    /// reconnect, and look it up again.
    func endOldEpochs() {
        let now = source.epoch()
        for feed in feeds where feed.epoch != now { retire(feed) }
    }

    private func retire(_ feed: Feed) {
        remove(feed)
        feed.close(.goingAway)
    }

    private func hear(_ event: BusEvent) {
        switch event {
        case .committed(let chat, let messages):
            guard let feed = state.withLock({ $0.chats[chat]?.feed }) else { return }
            if feed.epoch == source.epoch() { feed.receive(messages) } else { retire(feed) }
        case .revised(let chat, let revision): feed(of: chat)?.see(revision: revision)
        case .signals(let chat, let signals): feed(of: chat)?.receive(signals)
        case .revoked, .changed(.some), .tenantChanged, .online: break
        case .changed(nil): ask(forReview: nil)
        case .members(let change):
            // Only of what is read here. A subscription that is just opening looks again by itself.
            guard let feed = feed(of: change.chat), feed.isRead(by: change.user) else { return }
            ask(forReview: change)
        case .gap: Task.detached { await self.lookAtAll() }
        }
    }

    /// - Parameter change: nil for all.
    private func ask(forReview change: MembersChanged?) {
        reviews.ask(for: change) { [self] change in
            if let change { return await review(change) }
            for feed in feeds { await review(feed) }
        }
    }

    /// Ends the subscriptions of users to whom a chat, or some of it, is not there any more. The change is forgotten by
    /// `memberships`.
    func review(_ change: MembersChanged) async {
        guard let feed = feed(of: change.chat) else { return }
        await review(feed) { change.user == nil || change.user == $0 }
    }

    private func review(_ feed: Feed, _ isAffected: (User.ID) -> Bool = { _ in true }) async {
        for user in feed.users where isAffected(user.user) {
            do {
                let standing = try await memberships.find(user).standing
                if standing.role == nil { feed.end(user, .notFound) } else { feed.narrow(user, to: standing.numbers) }
            } catch ChatError.notFound {
                feed.end(user, .notFound)
            } catch {
                // Nobody knows whether it may still read: it comes back, and is looked up again.
                feed.end(user, .goingAway)
            }
        }
    }

    private func claim(
        _ chat: Chat.ID, _ tenant: Tenant.ID, _ client: IPAddress?
    ) throws(ChatError) -> (id: UInt64, entry: Entry) {
        endOldEpochs(of: chat)
        return try state.withLock { state throws(ChatError) in
            guard !state.isClosed else { throw .shuttingDown }
            if let client, state.clients[client] ?? 0 >= source.limits.clientSubscriptions { throw .overloaded }
            guard state.subscriptions.take(tenant) else { throw .overloaded }
            if let client { state.clients[client, default: 0] += 1 }
            let entry = state.chats[chat] ?? open(chat, tenant, &state)
            state.chats[chat] = entry
            state.chats[chat]?.claims += 1
            tell(state)
            return (state.newID(), entry)
        }
    }

    private func endOldEpochs(of chat: Chat.ID) {
        if let feed = state.withLock({ $0.chats[chat]?.feed }), feed.epoch != source.epoch() { retire(feed) }
    }

    private func open(_ chat: Chat.ID, _ tenant: Tenant.ID, _ state: inout State) -> Entry {
        let feed = Feed(chat, of: tenant, source: source)
        let subscribing = send(&state, for: chat) { feed.isHeard = await self.bus.subscribe(to: chat) }
        let opening = Task<ChatError?, Never>.detached {
            await subscribing.value
            do {
                try await feed.open()
                return nil
            } catch {
                return ChatError(store: error)
            }
        }
        return Entry(feed: feed, opening: opening)
    }

    private func release(_ feed: Feed, _ tenant: Tenant.ID, _ client: IPAddress?) {
        state.withLock { state in
            state.subscriptions.give(tenant)
            if let client, let count = state.clients[client] {
                state.clients[client] = count > 1 ? count - 1 : nil
            }
            if state.chats[feed.chat]?.feed === feed {
                state.chats[feed.chat]?.claims -= 1
                if state.chats[feed.chat]?.claims == 0 { remove(feed, &state) }
            }
            tell(state)
        }
    }

    private func remove(_ feed: Feed) {
        state.withLock { state in if state.chats[feed.chat]?.feed === feed { remove(feed, &state) } }
    }

    private func remove(_ feed: Feed, _ state: inout State) {
        state.chats[feed.chat] = nil
        _ = send(&state, for: feed.chat) {
            await self.bus.unsubscribe(from: feed.chat)
            feed.close(.goingAway)
        }
    }

    /// Sends a request to the bus after the chat's previous request has ended.
    private func send(
        _ state: inout State, for chat: Chat.ID, _ errand: @escaping @Sendable () async -> Void
    ) -> Task<Void, Never> {
        let (id, before) = (state.newID(), state.errands[chat]?.task)
        let task = Task.detached {
            await before?.value
            await errand()
            self.state.withLock { if $0.errands[chat]?.id == id { $0.errands[chat] = nil } }
        }
        state.errands[chat] = (id, task)
        return task
    }

    private func tell(_ state: borrowing State) {
        source.metrics.subscriptions.set(state.subscriptions.total)
        source.metrics.chats.set(state.chats.count)
    }
}
