import ServiceLifecycle
import Synchronization

/// Who is online: users with a live connection, of the applications that show it.
///
/// Each process renews its users in a store that all share (`PresenceStore`), all at once and every `renewal`; whom nobody
/// renews is offline after `lasts`. So a connection that ends writes nothing, whoever comes back at once was never away, and
/// nobody cleans up after a process that died. A user who comes is told of over the bus; the rest is found by asking the store
/// for those who are watched.
package final class Presence: Service {
    /// Users in one list.
    package static let mostUsers = 100
    static let lasts = Duration.seconds(60)
    static let renewal = Duration.seconds(20)
    /// A change of a user is told at most once in this time.
    static let pause = Duration.seconds(30)
    private static let interval = Duration.seconds(1)
    /// Users whom all watches together may have, shared by the tenants.
    private static let capacity = 131_072
    /// Users who may have come since the last renewal.
    private static let mostArrivals = 65_536

    private struct Reference { weak var watch: PresenceWatch? }

    private struct State {
        var board = PresenceBoard()
        var watches: [PresenceBoard.WatchID: Reference] = [:]
        var share = FairShare<Tenant.ID>(bound: Presence.capacity)
        var lastID: PresenceBoard.WatchID = 0
        /// Who has been renewed since the last renewal of all, and who is to be.
        var here: Set<PresentUser> = []
        var arrived: Set<PresentUser> = []
        var nextRenewal = Duration.zero
        /// Before this others may not have renewed theirs since the store failed.
        var knowsFrom = Duration.zero
    }

    private let store: any PresenceStore
    private let bus: any MessageBus
    private let time: Timekeeper
    /// Who has a connection here, of the applications that show it.
    private let connected: @Sendable () async -> Set<PresentUser>
    private let state = Mutex(State())

    init(
        store: any PresenceStore, bus: any MessageBus, time: Timekeeper,
        connected: @escaping @Sendable () async -> Set<PresentUser>
    ) {
        self.store = store
        self.bus = bus
        self.time = time
        self.connected = connected
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            // Cancelled: end.
            while (try? await time.sleep(time.now() + Self.interval)) != nil, !Task.isCancelled { await tick() }
        }
    }

    // MARK: Who is here

    /// A user has opened a connection.
    func arrive(_ user: PresentUser) {
        state.withLock { state in
            guard !state.here.contains(user), state.arrived.count < Self.mostArrivals else { return }
            state.arrived.insert(user)
        }
    }

    /// A user was blocked.
    func remove(_ user: PresentUser) async {
        state.withLock { state in
            state.here.remove(user)
            state.arrived.remove(user)
        }
        // It ends by itself, too.
        try? await store.remove(user)
        see([user]) { _ in false }
    }

    /// Another process, or this one, has renewed users who were not online before.
    func hear(_ users: [PresentUser]) { see(users) { _ in true } }

    /// Renews and asks what is due.
    func tick() async {
        let now = time.now()
        let (isRound, newcomers) = state.withLock { state in
            let isRound = now >= state.nextRenewal
            if isRound { state.nextRenewal = now + Self.renewal }
            defer { state.arrived = [] }
            return (isRound, state.arrived)
        }
        if isRound || !newcomers.isEmpty {
            let users = isRound ? await connected() : newcomers
            await renew(users, newcomers: newcomers.intersection(users), isAll: isRound)
        }
        if isRound { await ask(state.withLock(\.board.users)) }
        tell(state.withLock { $0.board.takeDue(now: now) })
    }

    private func renew(_ users: Set<PresentUser>, newcomers: Set<PresentUser>, isAll: Bool) async {
        do {
            try await store.renew(Array(users))
            state.withLock { $0.here = isAll ? users : $0.here.union(users) }
            if !newcomers.isEmpty { bus.publish(online: Array(newcomers)) }
        } catch {
            // The next renewal is of all.
            noteFailure()
        }
    }

    private func noteFailure() {
        let now = time.now()
        state.withLock { $0.knowsFrom = now + Self.renewal * 2 }
    }

    // MARK: Who watches

    /// Which of some users are online.
    ///
    /// - Throws: `ChatError.unavailable`.
    func online(among users: [PresentUser]) async throws -> Set<PresentUser> {
        guard time.now() >= state.withLock(\.knowsFrom) else {
            throw ChatError.unavailable(reason: "Who is online is not known at the moment")
        }
        do { return try await store.online(among: users) } catch {
            noteFailure()
            throw error
        }
    }

    /// Watches users: first how each of them is, as soon as that is known, then each change.
    ///
    /// - Parameter users: at most `mostUsers`, each once.
    /// - Throws: `ChatError.overloaded`.
    func watch(_ users: [User.ID], of tenant: Tenant.ID) async throws(ChatError) -> PresenceWatch {
        let users = users.map { PresentUser(tenant: tenant, user: $0) }
        let id = try state.withLock { state throws(ChatError) in
            guard state.share.room(for: tenant) >= users.count else { throw .overloaded }
            state.share.hold(users.count, of: tenant)
            state.lastID += 1
            return state.lastID
        }
        let watch = PresenceWatch { [weak self] in
            guard let self else { return }
            self.state.withLock { state in
                state.watches[id] = nil
                state.board.leave(id, users)
                state.share.give(tenant, users.count)
            }
        }
        let (events, unknown) = state.withLock { state in
            state.watches[id] = Reference(watch: watch)
            return state.board.join(id, users)
        }
        tell(events)
        await ask(unknown)
        return watch
    }

    /// Asks how users are. Without an answer it is asked again at the next renewal.
    private func ask(_ users: [PresentUser]) async {
        guard !users.isEmpty, let online = try? await online(among: users) else { return }
        see(users, online.contains)
    }

    private func see(_ users: [PresentUser], _ isOnline: (PresentUser) -> Bool) {
        let now = time.now()
        tell(state.withLock { $0.board.see(users, online: isOnline, now: now) })
    }

    private func tell(_ events: [PresenceBoard.Event]) {
        if events.isEmpty { return }
        // A watch may end here, but not under the lock.
        let watches = state.withLock { state in events.map { state.watches[$0.watch]?.watch } }
        for (event, watch) in zip(events, watches) { watch?.tell(event.user, isOnline: event.isOnline) }
    }
}
