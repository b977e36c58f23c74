package import Logging
package import Metrics
import ServiceLifecycle
import Synchronization

/// The live readers of this process: every reader of a chat gets every message after its cursor, once, in number order,
/// however long it was away and whatever happens to the bus.
///
/// The bus tells of messages that were committed; the database is the truth. A chat has a `Feed` as long as it has
/// readers. It starts at the store's highest number, and puts what the bus tells of into order (`LogOrder`). What was
/// not told of is noticed by the next number, or by asking the store for its highest one now and then, and is read. A reader
/// with an older cursor reads from the store (`CatchUp`) until it has come up to the feed.
///
/// Everything is bounded by `StreamLimits`. When it is shut down all readers end with `.goingAway`.
package final class Hub: Service {
    private struct Entry {
        let feed: Feed
        let opening: Task<ChatError?, Never>
        /// Subscriptions, those on their way included.
        var claims = 0
    }

    private struct State {
        var chats: [Chat.ID: Entry] = [:]
        /// What the bus was asked last for each chat: one after the other, so that it ends as the last one wants.
        var errands: [Chat.ID: (id: UInt64, task: Task<Void, Never>)] = [:]
        var subscriptions: FairShare<Tenant.ID>
        var lastID: UInt64 = 0
        var isClosed = false

        mutating func newID() -> UInt64 {
            lastID += 1
            return lastID
        }
    }

    let source: StreamSource
    let bus: any MessageBus
    private let state: Mutex<State>

    /// - Parameter hears: who else is told what the bus tells.
    package init(
        backend: Backend, limits: StreamLimits = StreamLimits(), time: Timekeeper = .continuous,
        clock: WallClock = .system, logger: Logger, metrics: any MetricsFactory,
        hears: @escaping @Sendable (BusEvent) -> Void = { _ in }
    ) {
        self.bus = backend.bus
        self.state = Mutex(State(subscriptions: FairShare(bound: limits.subscriptions)))
        self.source = StreamSource(
            backend: backend, limits: limits, time: time, clock: clock.neverAhead(by: time), logger: logger,
            metrics: StreamMetrics(factory: metrics))
        bus.listen { [weak self] event in
            hears(event)
            self?.hear(event)
        }
    }

    /// Starts to read a chat.
    ///
    /// - Parameters:
    ///   - tenant: whose share of the subscriptions it takes.
    ///   - cursor: where to start, however far back; above the chat's highest number, what is below it is never given.
    ///     Nil: with the next message.
    ///   - opening: kept as long as the subscription, which ends when it is revoked.
    /// - Throws: `.overloaded` at the bound or the tenant's share of it, `.shuttingDown`, `.unavailable` when the store cannot say where the chat is.
    package func subscribe(
        to chat: Chat.ID, of tenant: Tenant.ID, after cursor: Cursor?, _ opening: Opening? = nil
    ) async throws(ChatError) -> ChatSubscription {
        let (id, entry) = try claim(chat, tenant)
        let failure = await entry.opening.value
        if failure != nil { remove(entry.feed) }
        guard failure == nil, let start = entry.feed.join(id, after: cursor) else {
            release(entry.feed, tenant)
            throw failure ?? .shuttingDown
        }
        opening?.whenRevoked { entry.feed.end(id, .revoked) }
        return ChatSubscription(id, of: entry.feed, after: start, source: source) { [self] in
            withExtendedLifetime(opening) { release(entry.feed, tenant) }
        }
    }

    /// Looks after what the bus may miss, until shutdown; then all readers end.
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

    /// The chats that have readers.
    var feeds: [Feed] { state.withLock { $0.chats.values.map(\.feed) } }

    /// Asks the bus for a chat's messages again.
    ///
    /// - Returns: what ends when it is known whether they are heard.
    func subscribeAgain(_ feed: Feed) -> Task<Void, Never>? {
        state.withLock { state in
            guard state.chats[feed.chat]?.feed === feed else { return nil }
            return send(&state, for: feed.chat) { feed.isHeard = await self.bus.subscribe(to: feed.chat) }
        }
    }

    /// Ends the readers whose chats' ids were looked up when another server was in use, which may have had other rows:
    /// they come back, and are looked up anew.
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
        case .revoked: break
        case .gap: Task.detached { await self.lookAtAll() }
        }
    }

    private func claim(_ chat: Chat.ID, _ tenant: Tenant.ID) throws(ChatError) -> (id: UInt64, entry: Entry) {
        endOldEpochs(of: chat)
        return try state.withLock { state throws(ChatError) in
            guard !state.isClosed else { throw .shuttingDown }
            guard state.subscriptions.take(tenant) else { throw .overloaded }
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

    private func release(_ feed: Feed, _ tenant: Tenant.ID) {
        state.withLock { state in
            state.subscriptions.give(tenant)
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

    /// Asks the bus for something when it has answered what it was asked before about that chat.
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
