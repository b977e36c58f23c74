/// One chat's stream in this process: the next messages (`LogOrder`), what has changed of them (`ChangeWindow`), what
/// passes (`SignalWindow`), and the position of each reader in them.
struct ChatFeed {
    /// What a reader can take.
    enum Taken {
        case events(LiveEvents)
        /// There is nothing new.
        case nothing
        /// The reader must read messages from the store, after this position and at least up to `goal`, and then call
        /// `window.move`.
        case behind(Cursor, goal: Int64)
        /// The reader must read changes from the store, after this position and up to the revision `goal`, and then call
        /// `changes.move`.
        case behindChanges(Cursor, goal: Int64)
        case tooSlow
        /// There is no such reader.
        case gone
    }

    private(set) var order: LogOrder
    var window: LiveWindow
    private(set) var changes: ChangeWindow
    private(set) var signals = SignalWindow()
    /// Of the store.
    private let epoch: Int64
    /// Messages up to this number are read from the store: the bus may have them as they were before a change that
    /// `changes` begins after.
    private let readUpTo: Int64

    /// - Parameters:
    ///   - head: a number below which no gap may still be filled; and all changes up to its revision are in what the store
    ///     has. Readers without a cursor start after it.
    ///   - highest: the highest number and revision in the store or from the bus.
    init(head: Cursor, highest: Cursor, now: Duration, limits: StreamLimits) {
        self.order = LogOrder(after: head.number, patience: limits.gaps, bounds: limits.ahead)
        self.window = LiveWindow(head: head.number, limits: limits)
        self.changes = ChangeWindow(head: head.revision ?? 0, known: highest.revision ?? 0, limits: limits)
        self.epoch = head.epoch
        self.readUpTo = highest.number
        order.see(highest.number, now: now)
    }

    var bytes: Int { window.bytes + changes.bytes }
    /// Differs as soon as readers may have something to take.
    var mark: Mark { Mark(head: head, whole: changes.whole, signals: signals.head) }

    struct Mark: Equatable {
        let head: Cursor
        let whole: Int64
        let signals: UInt64
    }

    /// Where a reader without a cursor starts.
    var head: Cursor { Cursor(window.head, revision: changes.head, epoch: epoch) }

    /// Takes messages from the bus. Those that were changed replace what waits for slow readers.
    mutating func receive(_ messages: [Message], now: Duration, isTight: Bool = false) {
        for message in messages where message.revision > 0 { window.replace(message) }
        var due: [Message] = []
        for message in messages where message.number.rawValue > readUpTo {
            // Who has published it could not tell its thread: it is read from the store.
            if message.lacksRoot {
                order.see(message.number.rawValue, now: now)
            } else {
                due += order.receive(message, now: now)
            }
        }
        append(due, isBurst: due.count > messages.count, isTight)
        changes.receive(messages, reached: order.head)
    }

    /// Takes the store's highest number.
    mutating func see(_ highest: Int64, now: Duration) { order.see(highest, now: now) }

    /// Takes a revision that the chat has reached.
    mutating func see(revision: Int64) { changes.see(revision) }

    mutating func receive(_ signals: [Signal], now: Duration) {
        for signal in signals { self.signals.receive(signal, now: now) }
    }

    mutating func startWork(now: Duration) -> LogOrder.Work? { order.startWork(now: now) }

    mutating func finish(_ finding: LogOrder.Finding, now: Duration, clock: Timestamp, isTight: Bool = false) {
        let due = order.finish(finding, now: now, clock: clock)
        append(due, isBurst: true, isTight)
    }

    /// When changes must be read from the store.
    var nextRead: Duration? { changes.nextRead(reached: order.head) }

    /// - Returns: the revision after which to read.
    mutating func startRead(now: Duration) -> Int64? { changes.startRead(now: now, reached: order.head) }

    /// Takes what has changed; nil if the store has failed.
    ///
    /// - Returns: whether messages have changed.
    mutating func finishRead(_ found: (items: [ChangedItem], events: [ChangeEvent])?, now: Duration) -> Bool {
        let (messages, number) = changes.finish(found?.items, found?.events ?? [], reached: order.head, now: now)
        for message in messages { window.replace(message) }
        if let number { order.see(number, now: now) }
        return !messages.isEmpty
    }

    /// - Parameters:
    ///   - hasChanges: whether it reads changes, and who writes, too.
    ///   - hasReads: whether it is told how far others have read.
    /// - Returns: where the reader starts.
    mutating func join(
        _ id: LiveWindow.ReaderID, after cursor: Cursor?, hasChanges: Bool, hasReads: Bool = false
    ) -> Cursor {
        let number = window.join(id, after: cursor?.number)
        // Another process may have told it of changes that this one has not heard of.
        if let revision = cursor?.revision { changes.see(revision) }
        // A plain number says that there is no change that the reader has.
        if hasChanges { changes.join(id, after: cursor.map { $0.revision ?? 0 }, base: cursor?.base ?? .max) }
        if hasChanges || hasReads { signals.join(id, hasTyping: hasChanges, hasReads: hasReads) }
        return self.cursor(at: number, of: id)
    }

    /// - Returns: whether the reader existed.
    mutating func leave(_ id: LiveWindow.ReaderID) -> Bool {
        changes.leave(id)
        signals.leave(id)
        return window.leave(id)
    }

    /// - Returns: the readers.
    mutating func leaveAll() -> [LiveWindow.ReaderID] {
        changes.leaveAll()
        signals.leaveAll()
        return window.leaveAll()
    }

    /// Whether a reader has something to take, or has ended.
    func hasNews(for id: LiveWindow.ReaderID) -> Bool {
        if changes.isAhead(id) { return false }
        return window.hasNews(for: id) || changes.hasNews(for: id) || signals.hasNews(for: id)
    }

    /// The next events of a reader, if any.
    ///
    /// - Parameters:
    ///   - numbers: the messages that are there for it.
    ///   - isTight: whether it must read messages from the store, because its tenant's memory is used up.
    mutating func take(_ id: LiveWindow.ReaderID, in numbers: NumberSpan, isTight: Bool = false) -> Taken {
        guard let number = window.position(of: id) else { return .gone }
        // What is here may be older than what the reader has heard of: first it is read.
        if changes.isAhead(id) { return .nothing }
        if !changes.yields(id), let taken = takeChanges(id, at: number, in: numbers) { return taken }
        let start = cursor(at: number, of: id)
        switch window.take(id, isTight: isTight) {
        case .messages(let messages):
            changes.tookMessages(id)
            return .events(LiveEvents(.messages(messages), after: start, for: numbers))
        case .nothing:
            if let taken = takeChanges(id, at: window.position(of: id) ?? number, in: numbers) { return taken }
            let passing = signals.take(id)
            guard !passing.isEmpty, let start = position(of: id) else { return .nothing }
            return .events(LiveEvents(.signals(passing), after: start))
        case .behind(let position, let goal):
            changes.tookMessages(id)
            return .behind(start.at(position), goal: goal)
        case .tooSlow: return .tooSlow
        case .gone: return .gone
        }
    }

    private mutating func takeChanges(
        _ id: LiveWindow.ReaderID, at number: Int64, in numbers: NumberSpan
    ) -> Taken? {
        while changes.position(of: id) != nil {
            let start = cursor(at: number, of: id)
            switch changes.take(id, at: number, in: numbers) {
            case .events(let events, _, let isWhole):
                if events.isEmpty { continue }
                return .events(LiveEvents(.changes(events), after: start, isWhole: isWhole, for: numbers))
            case .nothing: return nil
            case .behind(_, let goal): return .behindChanges(start, goal: goal)
            }
        }
        return nil
    }

    /// A reader has read messages from the store, up to this number.
    mutating func move(_ id: LiveWindow.ReaderID, to number: Int64) { window.move(id, to: number) }

    /// A reader has read changes from the store.
    ///
    /// - Returns: its next events.
    mutating func move(
        _ id: LiveWindow.ReaderID, after start: Cursor, past page: ChangeWalk.Page, in numbers: NumberSpan
    ) -> LiveEvents {
        changes.see(page.highest)
        // Another read may have been newer than this one.
        let isWhole = page.isWhole && changes.known <= page.revision
        let base = isWhole ? page.revision : page.events.base(after: start.base)
        changes.move(id, to: page.revision, base: base)
        return LiveEvents(.changes(page.events), after: start, isWhole: isWhole, for: numbers)
    }

    /// A reader's position, to go on from what it reads from the store.
    func position(of id: LiveWindow.ReaderID) -> Cursor? {
        window.position(of: id).map { cursor(at: $0, of: id) }
    }

    private func cursor(at number: Int64, of id: LiveWindow.ReaderID) -> Cursor {
        Cursor(number, revision: changes.position(of: id), base: changes.base(of: id), epoch: epoch)
    }

    private mutating func append(_ due: [Message], isBurst: Bool, _ isTight: Bool) {
        assert(zip(due, due.dropFirst()).allSatisfy { $0.number < $1.number }, "Messages come in number order, once")
        for message in due { if let sender = message.content.sender { signals.end(typingOf: sender) } }
        window.append(due, head: order.head, isBurst: isBurst, isTight: isTight)
    }
}
