import Metrics
import Synchronization

/// One chat's readers in this process, and their messages. Acts on the decisions of `ChatFeed`.
final class Feed: Sendable {
    typealias ReaderID = LiveWindow.ReaderID

    typealias Waiter = @Sendable () -> Void

    private struct State {
        /// Nil until it is open.
        var feed: ChatFeed?
        /// The highest number and revision from the bus before that.
        var heard = Cursor(0, revision: 0)
        /// Whether the bus is subscribed to the chat.
        var isHeard = false
        var waiters: [ReaderID: Waiter] = [:]
        /// Waiters to call after the lock is released.
        var woken: [Waiter] = []
        /// The readers that are users.
        var users: [ReaderID: Viewer] = [:]
        /// Why each ended reader ended.
        var ends: [ReaderID: StreamEnd] = [:]
        /// Why all readers ended; new ones end likewise.
        var end: StreamEnd?
        var isWorking = false
        var isReadingChanges = false
        var keptBytes = 0
        /// The last page, and how many readers may still take it: readers of a chat usually take the same pages.
        var page: (shared: LivePage, left: Int)?

        /// The messages that are there for a reader.
        func numbers(for id: ReaderID) -> NumberSpan { users[id]?.numbers ?? .all }

        mutating func wakeReaders() {
            for id in waiters.keys where feed?.hasNews(for: id) ?? true {
                if let waiter = waiters.removeValue(forKey: id) { woken.append(waiter) }
            }
        }

        mutating func sharedPage(_ events: LiveEvents, onHold: @escaping @Sendable (Int) -> Void) -> LivePage {
            let old = page.flatMap { $0.shared.events.isSame(as: events) ? $0 : nil }
            let shared = old?.shared ?? LivePage(events, onHold: onHold)
            let left = (old?.left ?? feed?.window.readerCount ?? 1) - 1
            // Dropped after the last reader: pages of many chats with one reader each would take much memory.
            page = left > 0 ? (shared, left) : nil
            return shared
        }
    }

    private enum Step<Work: Sendable> {
        case sleep(until: Duration)
        case work(Work)
    }

    let identity: ReadChat
    private let source: StreamSource
    private let state = Mutex(State())

    var chat: Chat.ID { identity.id }
    var epoch: UInt64 { identity.epoch }
    private var tenant: Tenant.ID { identity.tenant }

    init(_ chat: Chat.ID, of tenant: Tenant.ID, source: StreamSource) {
        self.identity = ReadChat(id: chat, tenant: tenant, epoch: source.epoch())
        self.source = source
    }

    var isHeard: Bool {
        get { state.withLock(\.isHeard) }
        set { state.withLock { $0.isHeard = newValue } }
    }

    /// Starts at the store's highest number, or below the first gap that may still be filled. Subscribe to the bus
    /// before, so that no message is missed in between.
    ///
    /// - Throws: the store's errors.
    func open() async throws {
        // Before the messages: they have all changes up to it, then.
        let revision = try await source.changes.heads(of: [chat])[chat] ?? 0
        let tail = try await source.messages.tail(of: chat)
        guard source.epoch() == epoch else { throw ChatError.unavailable(reason: "The database server has changed") }
        var lost = tail.lost(at: source.clock.now(), grace: source.limits.gaps.grace)
        if let numbers = lost {
            let finding = try await source.carryOut(.settle(numbers), for: identity)
            // The store cannot be written to: settle them later, and start readers below them.
            if case .settled = finding {} else { lost = nil }
        }
        change { state in
            state.feed = ChatFeed(
                head: Cursor(tail.complete(without: lost), revision: revision, epoch: source.cursorEpoch),
                highest: Cursor(
                    max(tail.highest, state.heard.number), revision: max(revision, state.heard.revision ?? 0)),
                now: source.time.now(), limits: source.limits)
        }
    }

    /// Takes messages from the bus.
    func receive(_ messages: [Message]) {
        change { state in
            if state.feed == nil {
                state.heard = messages.reduce(state.heard) { heard, message in
                    Cursor(
                        max(heard.number, message.number.rawValue),
                        revision: max(heard.revision ?? 0, message.revision))
                }
            }
            // Equal numbers do not mean equal messages any more.
            if messages.contains(where: { $0.revision > 0 }) { state.page = nil }
            state.feed?.receive(messages, now: source.time.now(), isTight: source.isTight)
        }
    }

    /// Takes the store's highest number and revision.
    func see(_ highest: Cursor) {
        change { state in
            state.feed?.see(highest.number, now: source.time.now())
            state.feed?.see(revision: highest.revision ?? 0)
        }
    }

    /// Takes a revision that the chat has reached.
    func see(revision: Int64) {
        change { state in
            if state.feed == nil {
                state.heard = Cursor(state.heard.number, revision: max(state.heard.revision ?? 0, revision))
            }
            state.feed?.see(revision: revision)
        }
    }

    func receive(_ signals: [Signal]) { change { $0.feed?.receive(signals, now: source.time.now()) } }

    /// - Returns: where the reader starts, as in `ChatFeed.join`; nil after the feed has closed.
    func join(
        _ id: ReaderID, after cursor: Cursor?, hasChanges: Bool = false, hasReads: Bool = false,
        by viewer: Viewer? = nil
    ) -> Cursor? {
        var start: Cursor?
        change { state in
            guard state.end == nil else { return }
            start = state.feed?.join(id, after: cursor, hasChanges: hasChanges, hasReads: hasReads)
            if start != nil { state.users[id] = viewer }
        }
        return start
    }

    /// - Parameter user: nil for any.
    func isRead(by user: User.ID?) -> Bool {
        state.withLock { state in state.users.values.contains { user == nil || $0.user.user == user } }
    }

    /// The users who read it.
    var users: Set<Memberships.Key> { state.withLock { Set($0.users.values.map(\.user)) } }

    /// Ends all readers of a user.
    func end(_ user: Memberships.Key, _ reason: StreamEnd) { end(reason) { $0.user == user } }

    /// Ends the readers of a user that joined when more was there for it, wherever they are: what they have taken may not
    /// be written yet. They come back, and start where it begins now.
    func narrow(_ user: Memberships.Key, to numbers: NumberSpan) {
        end(.goingAway) { $0.user == user && $0.numbers.first < numbers.first }
    }

    private func end(_ reason: StreamEnd, where isMeant: (Viewer) -> Bool) {
        for id in state.withLock({ state in state.users.filter { isMeant($0.value) }.keys }) { end(id, reason) }
    }

    /// Waits for the next events of a reader.
    func next(_ id: ReaderID, _ catchUp: CatchUp) async throws(StreamEnd) -> LiveEvents {
        while true {
            if let events = try await poll(id, catchUp) { return events }
            await wait(id)
        }
    }

    /// The next events of a reader; nil if it is up to date.
    private func poll(_ id: ReaderID, _ catchUp: CatchUp) async throws(StreamEnd) -> LiveEvents? {
        while true {
            switch take(id) {
            case .events(let events):
                catchUp.hold(events)
                return events
            case .nothing: return nil
            case .tooSlow: end(id, .slowConsumer)
            case .gone: throw state.withLock { $0.ends[id] ?? $0.end ?? .cancelled }
            case .behind(let start, let goal):
                let events = try await read(id, catchUp, after: start, upTo: goal)
                if !events.isEmpty { return events }
            case .behindChanges(let start, let goal):
                let events = try await readChanges(id, catchUp, after: start, upTo: goal)
                if !events.isEmpty { return events }
            }
        }
    }

    /// The next events of a reader, without waiting.
    ///
    /// - Parameter waiter: kept if the reader is up to date after this; called once when there is something to take.
    func take(_ id: ReaderID, orWake waiter: @escaping Waiter) -> ChatSubscription.Taken {
        var taken = ChatSubscription.Taken.nothing
        var isTooSlow = false
        // If the tenant's readers have used up its memory, they read from the store, in turns.
        let hasRoom = source.readerReads.hasRoom(tenant)
        change { state in
            let numbers = state.numbers(for: id)
            switch state.feed?.take(id, in: numbers, isTight: !hasRoom) ?? .gone {
            case .events(let events):
                let isLast = state.feed?.hasNews(for: id) == false
                let page = state.sharedPage(events) { [source, tenant] in
                    source.readerReads.change(by: $0, of: tenant)
                }
                taken = .page(page, isLast: isLast)
                if isLast { state.waiters[id] = waiter }
            case .nothing: state.waiters[id] = waiter
            case .behind, .behindChanges: taken = .behind
            case .tooSlow: isTooSlow = true
            case .gone: taken = .ended(state.ends[id] ?? state.end ?? .cancelled)
            }
        }
        guard isTooSlow else { return taken }
        end(id, .slowConsumer)
        return .ended(.slowConsumer)
    }

    /// Ends one reader.
    func end(_ id: ReaderID, _ end: StreamEnd) {
        change { state in
            guard state.feed?.leave(id) == true else { return }
            state.ends[id] = end
            state.users[id] = nil
            source.metrics.ended(end)
            state.woken += [state.waiters.removeValue(forKey: id)].compactMap(\.self)
        }
    }

    /// Forgets a reader.
    func forget(_ id: ReaderID) {
        end(id, .cancelled)
        state.withLock { $0.ends[id] = nil }
    }

    /// Ends all readers, and refuses new ones.
    func close(_ end: StreamEnd) {
        change { state in
            guard state.end == nil else { return }
            state.end = end
            for id in state.feed?.leaveAll() ?? [] {
                state.ends[id] = end
                source.metrics.ended(end)
            }
            state.users = [:]
            state.woken += state.waiters.values
            state.waiters = [:]
        }
    }

    private func take(_ id: ReaderID) -> ChatFeed.Taken {
        var taken = ChatFeed.Taken.gone
        change { state in
            let numbers = state.numbers(for: id)
            if let next = state.feed?.take(id, in: numbers) { taken = next }
        }
        return taken
    }

    /// Waits until there is something for a reader, or it has ended.
    private func wait(_ id: ReaderID) async {
        await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
            let isOver = state.withLock { state in
                guard state.feed?.hasNews(for: id) == false else { return true }
                precondition(state.waiters[id] == nil, "one call of next() at a time")
                state.waiters[id] = { waiter.resume() }
                return false
            }
            if isOver { waiter.resume() }
        }
    }

    private func read(
        _ id: ReaderID, _ catchUp: CatchUp, after start: Cursor, upTo goal: Int64
    ) async throws(StreamEnd) -> LiveEvents {
        do throws(StreamEnd) {
            let messages = try await catchUp.nextPage(after: start.number, upTo: goal) {
                state.withLock { $0.ends[id] == nil }
            }
            change { $0.feed?.move(id, to: catchUp.position) }
            return LiveEvents(.messages(messages), after: start, for: state.withLock { $0.numbers(for: id) })
        } catch {
            close(error)
            throw error
        }
    }

    private func readChanges(
        _ id: ReaderID, _ catchUp: CatchUp, after start: Cursor, upTo goal: Int64
    ) async throws(StreamEnd) -> LiveEvents {
        let numbers = state.withLock { $0.numbers(for: id) }
        do throws(StreamEnd) {
            let page = try await catchUp.nextChanges(after: start, upTo: goal, in: numbers) {
                state.withLock { $0.ends[id] == nil && $0.end == nil }
            }
            var events: LiveEvents?
            if let page { change { events = $0.feed?.move(id, after: start, past: page, in: numbers) } }
            return events ?? LiveEvents(.changes([]), after: start)
        } catch {
            close(error)
            throw error
        }
    }

    /// Changes the state. Then wakes readers that have something to take, and starts work that needs the store.
    private func change(_ body: (inout State) -> Void) {
        let (woken, needsWorker, needsReader) = state.withLock { state in
            let mark = state.feed?.mark
            body(&state)
            if state.feed?.mark != mark { state.wakeReaders() }
            let bytes = state.end == nil ? state.feed?.bytes ?? 0 : 0
            source.keep(bytes - state.keptBytes)
            state.keptBytes = bytes
            let needsWorker = !state.isWorking && state.end == nil && state.feed?.order.nextWork != nil
            if needsWorker { state.isWorking = true }
            let needsReader = !state.isReadingChanges && state.end == nil && state.feed?.nextRead != nil
            if needsReader { state.isReadingChanges = true }
            defer { state.woken = [] }
            return (state.woken, needsWorker, needsReader)
        }
        for waiter in woken { waiter() }
        if needsWorker { Task.detached { await self.work() } }
        if needsReader { Task.detached { await self.readChanges() } }
    }

    /// Asks the store what has changed, until all is read that the bus has told of.
    private func readChanges() async {
        while let step = nextChangeStep() {
            switch step {
            case .sleep(let moment):
                try? await source.time.sleep(moment)  // This task is never cancelled.
            case .work(let revision):
                do throws(StreamEnd) {
                    let found = try await source.changes(in: identity, after: revision)
                    change { state in
                        // Equal numbers do not mean equal messages any more.
                        if state.feed?.finishRead(found, now: source.time.now()) == true { state.page = nil }
                    }
                } catch {
                    close(error)
                }
            }
        }
    }

    /// - Returns: with the revision after which to read.
    private func nextChangeStep() -> Step<Int64>? {
        state.withLock { state in
            let now = source.time.now()
            guard state.end == nil, let next = state.feed?.nextRead else {
                state.isReadingChanges = false
                return nil
            }
            if let revision = state.feed?.startRead(now: now) { return .work(revision) }
            return .sleep(until: min(next, now + .milliseconds(250)))
        }
    }

    /// Asks the store for missing numbers, until none is missing.
    private func work() async {
        while let step = nextStep() {
            switch step {
            case .sleep(let moment):
                try? await source.time.sleep(moment)  // This task is never cancelled.
            case .work(let work):
                source.metrics.gaps.increment()
                do throws(StreamEnd) {
                    let finding = try await source.carryOut(work, for: identity)
                    change { state in
                        state.feed?.finish(
                            finding, now: source.time.now(), clock: source.clock.now(),
                            isTight: source.isTight)
                    }
                } catch {
                    close(error)
                }
            }
        }
    }

    private func nextStep() -> Step<LogOrder.Work>? {
        state.withLock { state in
            let now = source.time.now()
            guard state.end == nil, let next = state.feed?.order.nextWork else {
                state.isWorking = false
                return nil
            }
            if let work = state.feed?.startWork(now: now) { return .work(work) }
            // Not longer: a change may make work due earlier.
            return .sleep(until: min(next, now + .milliseconds(250)))
        }
    }
}
