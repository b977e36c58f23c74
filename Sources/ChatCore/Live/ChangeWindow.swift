import DequeModule

/// The newest changes of one chat, and how far each of its readers has them.
///
/// Revisions are dense and in the order of the commits, so there is no gap to wait for: what the bus tells of is read from
/// the store, once for all readers, up to the highest revision there is. A reader that is behind the window reads for
/// itself, which costs as much as there are distinct things that changed. So no reader is too slow for changes.
struct ChangeWindow {
    typealias ReaderID = LiveWindow.ReaderID

    enum Taken {
        /// The reader stands at `revision` after them; empty if none of them is there for it. They are whole if nothing had
        /// changed after them.
        case events([ChangeEvent], upTo: Int64, isWhole: Bool)
        /// There is nothing that it can take now.
        case nothing
        /// The reader must read from the store, after this revision and up to `goal`, and then call `move`.
        case behind(Int64, goal: Int64)
    }

    private struct Reader {
        /// It has all changes up to this revision.
        var position: Int64
        /// `Cursor.base`.
        var base: Int64
        /// It has taken changes last: messages come first now, so that neither holds up the other.
        var yields = false
    }

    /// What is kept for readers that are a little behind.
    private static let bound = StreamLimits.Size(messages: 256, bytes: 256 << 10)
    private static let shortestPause = Duration.milliseconds(20)
    private static let longestPause = Duration.seconds(1)
    /// Changes that are read at once.
    static let readAtOnce = 16

    private let page: StreamLimits.Size
    private var readers: [ReaderID: Reader] = [:]
    /// The changes after `floor`, up to `head`; of each thing the last one.
    private var events = Deque<ChangeEvent>()
    private(set) var bytes = 0
    private(set) var floor: Int64
    /// All changes up to this revision were read. They are in the messages of the `LiveWindow`, too.
    private(set) var head: Int64
    /// The last head above which nothing had changed when it was read: all that had changed is among what was read, and in
    /// the messages of the `LiveWindow`. Reads may lag, but not behind each other.
    private(set) var whole: Int64
    /// The highest revision that the store or the bus has told of.
    private(set) var known: Int64
    /// The next change is of a message that the chat's feed has not reached: the message goes out first.
    private var waitsFor: Int64?
    private var isReading = false
    private var notBefore = Duration.zero
    private var pause = shortestPause

    init(head: Int64, known: Int64, limits: StreamLimits) {
        self.head = head
        self.whole = head
        self.floor = head
        self.known = max(head, known)
        self.page = limits.page
    }

    var count: Int { events.count }
    var hasReaders: Bool { !readers.isEmpty }

    /// Takes a revision that the chat has reached.
    mutating func see(_ revision: Int64) { known = max(known, revision) }

    /// Takes messages from the bus: if their changes are the next ones, nothing must be read.
    ///
    /// - Parameter reached: the number up to which the feed has all messages.
    /// - Returns: the messages whose changes were taken over.
    mutating func receive(_ messages: [Message], reached: Int64) {
        let changed = messages.filter { $0.revision > 0 }.sorted { $0.revision < $1.revision }
        guard let last = changed.last else { return }
        see(last.revision)
        guard !isReading, waitsFor == nil, changed.first?.revision == head + 1,
            last.revision - head == changed.count, changed.allSatisfy({ $0.number.rawValue <= reached }),
            !changed.contains(where: \.lacksRoot)
        else { return }
        let isWhole = whole == head
        append(changed.map { ChangeEvent(revision: $0.revision, thing: .message($0)) }, upTo: last.revision)
        if isWhole { whole = head }
    }

    /// When the next read is due; nil if there is none, or while one is running.
    func nextRead(reached: Int64) -> Duration? {
        guard !isReading, known > head || whole < head, waitsFor ?? 0 <= reached else { return nil }
        return notBefore
    }

    /// One at a time: the caller must call `finish`.
    ///
    /// - Returns: the revision after which to read.
    mutating func startRead(now: Duration, reached: Int64) -> Int64? {
        guard let next = nextRead(reached: reached), next <= now else { return nil }
        isReading = true
        waitsFor = nil
        return head
    }

    /// Takes the result of a read.
    ///
    /// - Parameters:
    ///   - items: what has changed after `head`, at most `readAtOnce`; nil if the store has failed.
    ///   - found: their states.
    ///   - reached: the number up to which the feed has all messages.
    /// - Returns: the changed messages; and a number that the feed must reach before the next change.
    mutating func finish(
        _ items: [ChangedItem]?, _ found: [ChangeEvent], reached: Int64, now: Duration
    ) -> (messages: [Message], waitsFor: Int64?) {
        isReading = false
        if items?.isEmpty == true, known <= head {
            whole = head
            return ([], nil)
        }
        // A store that lags has less than was told.
        guard let items, !items.isEmpty else {
            notBefore = now + pause
            pause = min(pause * 2, Self.longestPause)
            return ([], nil)
        }
        pause = Self.shortestPause
        notBefore = now
        let early = items.first { $0.messageNumber ?? 0 > reached }
        waitsFor = early?.messageNumber
        let last = early.map { $0.revision - 1 } ?? items.last!.revision
        known = max(known, items.last!.revision)
        guard last > head else { return ([], waitsFor) }
        let due = found.filter { $0.revision <= last }
        append(due, upTo: last)
        if early == nil, items.count < Self.readAtOnce { whole = head }
        return (due.compactMap { if case .message(let message) = $0.thing { message } else { nil } }, waitsFor)
    }

    private mutating func append(_ new: [ChangeEvent], upTo revision: Int64) {
        head = revision
        // Steps may be left out, and what was deleted must not stay.
        events.removeAll { old in new.contains { $0.isAboutSame(as: old) } }
        events.append(contentsOf: new)
        bytes = events.reduce(0) { $0 + $1.weight }
        while let first = events.first,
            readers.isEmpty || events.count > Self.bound.messages || bytes > Self.bound.bytes
        {
            events.removeFirst()
            bytes -= first.weight
            floor = first.revision
        }
        if events.isEmpty { floor = head }
    }

    /// - Parameters:
    ///   - revision: nil for the head: the reader lists what is there after this.
    ///   - base: of its cursor.
    /// - Returns: where the reader starts.
    @discardableResult
    mutating func join(_ id: ReaderID, after revision: Int64?, base: Int64 = .max) -> Int64 {
        let position = revision ?? head
        readers[id] = Reader(position: position, base: min(base, position))
        return position
    }

    mutating func leave(_ id: ReaderID) { readers[id] = nil }

    mutating func leaveAll() { readers = [:] }

    /// Nil for a reader of messages alone.
    func position(of id: ReaderID) -> Int64? { readers[id]?.position }

    /// `Cursor.base`.
    func base(of id: ReaderID) -> Int64? { readers[id]?.base }

    func hasNews(for id: ReaderID) -> Bool { readers[id].map { $0.position < head } ?? false }

    /// Whether a reader has changes that were not read yet, or may not have been: messages that wait here could be older.
    func isAhead(_ id: ReaderID) -> Bool { readers[id].map { $0.position > head || $0.base > whole } ?? false }

    /// Whether messages come first for this reader, if there are any.
    func yields(_ id: ReaderID) -> Bool { readers[id]?.yields ?? true }

    mutating func tookMessages(_ id: ReaderID) { readers[id]?.yields = false }

    /// The next changes of a reader, of messages that it has.
    ///
    /// - Parameters:
    ///   - number: it has the messages up to this one.
    ///   - numbers: the messages that are there for it.
    mutating func take(_ id: ReaderID, at number: Int64, in numbers: NumberSpan) -> Taken {
        guard let reader = readers[id], reader.position < head else { return .nothing }
        guard reader.position >= floor else { return .behind(reader.position, goal: head) }
        var size = 0
        var taken: [ChangeEvent] = []
        var last = reader.position
        var isCut = false
        for event in events[index(after: reader.position)...] {
            if let its = event.item.messageNumber, its > number { isCut = true }
            if !isCut, taken.count >= page.messages || (size > 0 && size + event.weight > page.bytes) { isCut = true }
            if isCut { break }
            last = event.revision
            guard event.item.isThere(in: numbers) else { continue }
            size += event.weight
            taken.append(event)
        }
        // Revisions that have no event any more belong to things that changed again.
        if !isCut { last = head }
        guard last > reader.position else { return .nothing }
        // A reader that has read for itself may have read newer things.
        let isWhole = last == head && whole == head && known <= head
        readers[id] = Reader(position: last, base: isWhole ? last : taken.base(after: reader.base), yields: true)
        return .events(taken, upTo: last, isWhole: isWhole)
    }

    /// A reader has read from the store up to `revision`.
    ///
    /// - Parameter base: `Cursor.base` then.
    mutating func move(_ id: ReaderID, to revision: Int64, base: Int64) {
        guard let reader = readers[id] else { return }
        // What it missed comes before what is new.
        readers[id] = Reader(position: max(reader.position, revision), base: max(reader.base, base))
    }

    /// Where the changes after a revision begin.
    private func index(after revision: Int64) -> Int {
        var (start, end) = (0, events.count)
        while start < end {
            let middle = (start + end) / 2
            if events[middle].revision <= revision { start = middle + 1 } else { end = middle }
        }
        return start
    }
}
