import DequeModule

/// Puts one chat's messages in number order, and decides what must be read from the store for that. `Feed` and
/// `CatchUp` act on its decisions.
///
/// In a cluster a number may be committed after a higher one, late, or never, if its writer died. A gap is first waited
/// for, then looked up in the store, and after a grace period settled: the store has its message by then, or makes the
/// number void for ever. The order passes no number before one of these has happened, and passes none twice, because it
/// passes only the number after the head.
struct LogOrder {
    enum Work: Equatable {
        /// Read the rows after that number.
        case read(after: Int64)
        /// Settle these numbers: each gets its message or becomes void.
        case settle(ClosedRange<Int64>)
    }

    /// The result of the work.
    enum Finding {
        /// The rows after the requested number, in order, without omissions.
        case rows([LogEntry])
        /// All of the numbers have rows now.
        case settled
        /// The store failed.
        case failure
    }

    /// When it became known that all numbers up to `highest` are taken.
    private struct Sighting {
        let highest: Int64
        let since: Duration
    }

    /// Numbers that are settled at once.
    private static let settledAtOnce: Int64 = 4096
    /// Between two reads of the store for the same number; doubled each time.
    private static let shortestPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(1)
    private static let maxSightings = 512
    /// How many numbers of a hole wider than `LogTail.Hole.widest` are made void before the rest is skipped. A writer
    /// takes numbers within a few thousand of the highest one, so no writer holds a number beyond.
    static let settledOfWidest: Int64 = 65_536

    let patience: GapPatience
    private let bounds: StreamLimits.Size
    /// All numbers up to it were passed, are void, or precede the start.
    private(set) var head: Int64
    /// The length of the run of void numbers that ends at the head.
    private var voids: Int64 = 0
    /// Messages that arrived early, by number; nil for a void number.
    private var ahead: [Int64: Message?] = [:]
    private var aheadBytes = 0
    /// In rising order; only those above the head.
    private var sightings = Deque<Sighting>()
    private var isAtWork = false
    private var notBefore = Duration.zero
    private var pause = shortestPause
    private var lost: ClosedRange<Int64>?

    /// - Parameter bounds: of early messages; past them these are dropped, and read again later.
    init(after head: Int64, patience: GapPatience, bounds: StreamLimits.Size) {
        self.head = head
        self.patience = patience
        self.bounds = bounds
    }

    /// Whether a number above the head is known.
    var isBehind: Bool { !sightings.isEmpty }
    var aheadCount: Int { ahead.count }

    /// Takes a message from the bus.
    ///
    /// - Returns: the messages that are next, in order.
    mutating func receive(_ message: Message, now: Duration) -> [Message] {
        var due: [Message] = []
        take(LogEntry(message), now: now, into: &due)
        assert(isSound)
        return due
    }

    /// Takes the store's highest number.
    mutating func see(_ highest: Int64, now: Duration) {
        guard highest > sightings.last?.highest ?? head else { return }
        if let last = sightings.last, now - last.since < .milliseconds(10) {
            sightings[sightings.count - 1] = Sighting(highest: highest, since: last.since)
        } else if sightings.count < Self.maxSightings {
            sightings.append(Sighting(highest: highest, since: now))
        } else {
            // When in doubt, wait longer.
            sightings[sightings.count - 1] = Sighting(highest: highest, since: now)
        }
    }

    /// When the next work is due; nil if there is none, or while some is running.
    var nextWork: Duration? {
        guard !isAtWork, let first = sightings.first else { return nil }
        return max(first.since + patience.look, notBefore)
    }

    /// The work that is due. One at a time: the caller must call `finish`.
    mutating func startWork(now: Duration) -> Work? {
        guard let nextWork, nextWork <= now else { return nil }
        isAtWork = true
        defer { lost = nil }
        // Some lost numbers may have arrived meanwhile.
        if let lost, lost.upperBound > head { return .settle(max(lost.lowerBound, head + 1)...lost.upperBound) }
        return .read(after: head)
    }

    /// Takes the result of the work.
    ///
    /// - Parameter clock: the time of day.
    /// - Returns: the messages that are next, in order.
    mutating func finish(_ finding: Finding, now: Duration, clock: Timestamp) -> [Message] {
        isAtWork = false
        defer { assert(isSound) }
        switch finding {
        case .rows(let rows): return read(rows, now: now, clock: clock)
        case .settled: notBefore = now
        case .failure: rest(now: now, atMost: Self.longestPause)
        }
        return []
    }

    private var isSound: Bool { ahead.keys.allSatisfy { $0 > head } && aheadBytes >= 0 }

    private mutating func read(_ rows: [LogEntry], now: Duration, clock: Timestamp) -> [Message] {
        var due: [Message] = []
        for row in rows { take(row, now: now, into: &due) }
        guard let first = sightings.first else { return due }
        if let next = rows.first(where: { $0.number.rawValue > head }) {
            // The next number has no row, but a higher one has.
            let isOld = next.createdAt.adding(patience.grace) <= clock
            let end = min(next.number.rawValue, ahead.keys.min() ?? .max)
            if isOld, end - head > LogTail.Hole.widest, voids >= Self.settledOfWidest {
                skip(to: end - 1)
                notBefore = now
            } else if isOld || first.since + patience.grace <= now {
                lost = head + 1...min(end - 1, head + Self.settledAtOnce)
                notBefore = now
            } else {
                rest(now: now, atMost: .milliseconds(250))
                notBefore = min(notBefore, max(now, first.since + patience.grace))
            }
        } else if rows.isEmpty {
            // The store lacks a message that the bus published: it is a replica that lags.
            rest(now: now, atMost: Self.longestPause)
        } else {
            // There are more rows than one page.
            notBefore = now
        }
        return due
    }

    private mutating func rest(now: Duration, atMost longest: Duration) {
        notBefore = now + min(pause, longest)
        pause = min(pause * 2, longest)
    }

    private mutating func take(_ entry: LogEntry, now: Duration, into due: inout [Message]) {
        guard entry.last.rawValue > head else { return }
        guard entry.number.rawValue <= head + 1 else { return keep(entry, now: now) }
        if entry.last != entry.number {
            skip(to: entry.last.rawValue)
        } else {
            let old = ahead.removeValue(forKey: head + 1) ?? nil
            aheadBytes -= old?.weight ?? 0
            advance(over: Self.newer(entry.message, old), into: &due)
        }
        while let next = ahead.removeValue(forKey: head + 1) {
            aheadBytes -= next?.weight ?? 0
            advance(over: next, into: &due)
        }
        while let first = sightings.first, first.highest <= head { sightings.removeFirst() }
        // The head has moved: a gap that remains is a new one.
        notBefore = .zero
        pause = Self.shortestPause
    }

    /// Of two states of one number the later one: a row may have been read before a change that the bus has told of.
    private static func newer(_ message: Message?, _ other: Message?) -> Message? {
        guard let other, let message else { return message ?? other }
        return other.lastRevision > message.lastRevision ? other : message
    }

    private mutating func advance(over message: Message?, into due: inout [Message]) {
        head += 1
        voids = message == nil ? voids + 1 : 0
        if let message { due.append(message) }
    }

    /// Passes void numbers.
    private mutating func skip(to last: Int64) {
        assert(last >= head, "The head never falls")
        voids += last - head
        head = last
        for (number, old) in ahead where number <= last {
            aheadBytes -= old?.weight ?? 0
            ahead[number] = nil
        }
    }

    private mutating func keep(_ entry: LogEntry, now: Duration) {
        see(entry.last.rawValue, now: now)
        // A run of void rows is not kept, but read again later.
        guard entry.last == entry.number else { return }
        let old = ahead[entry.number.rawValue] ?? nil
        let kept = Self.newer(entry.message, old)
        ahead[entry.number.rawValue] = .some(kept)
        aheadBytes += (kept?.weight ?? 0) - (old?.weight ?? 0)
        if ahead.count > bounds.messages || aheadBytes > bounds.bytes {
            ahead = [:]
            aheadBytes = 0
        }
    }
}
