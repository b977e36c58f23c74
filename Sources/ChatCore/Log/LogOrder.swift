import DequeModule

/// Puts one chat's messages in number order, whatever order they are told of in, and says what must be asked of the store
/// for that. It decides; `Feed` and `CatchUp` act.
///
/// In a cluster a number may be committed after a higher one, late, or never: its writer died. So a number that is missing
/// below one that is there is first waited for, then looked for in the store, and after a grace period made sure of: the
/// store gives its message, or makes it void for ever. No number is gone past before one of the three has happened, and
/// none is given twice, because all that is let through is the next one.
struct LogOrder {
    enum Work: Equatable {
        /// Read the rows after that number.
        case read(after: Int64)
        /// Make sure of these numbers.
        case settle(ClosedRange<Int64>)
    }

    /// What came of it.
    enum Finding {
        /// The rows after the number that was asked for, in order, none left out between them.
        case rows([LogEntry])
        /// All of the numbers have their rows now.
        case settled
        /// The store could not do it.
        case failure
    }

    /// Since when it is known that the numbers up to there are all given out.
    private struct Sighting {
        let highest: Int64
        let since: Duration
    }

    /// Numbers that are made sure of at once.
    private static let settledAtOnce: Int64 = 4096
    /// Between two questions to the store about the same number: doubled each time.
    private static let shortestPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(1)
    private static let maxSightings = 512
    /// How many numbers of a hole wider than `LogTail.Hole.widest` are made void before the rest is gone past. Whoever has
    /// a number in hand took it within a few thousand of the highest of its time, so nobody has one of those beyond.
    static let settledOfWidest: Int64 = 65_536

    let patience: GapPatience
    private let bounds: StreamLimits.Size
    /// Everything up to it has been let through, or is void, or was before the start.
    private(set) var head: Int64
    /// How many numbers up to it are void, side by side.
    private var voids: Int64 = 0
    /// What came before its turn; nil for a void number.
    private var ahead: [Int64: Message?] = [:]
    private var aheadBytes = 0
    /// Rising; only those above the head.
    private var sightings = Deque<Sighting>()
    private var isAtWork = false
    private var notBefore = Duration.zero
    private var pause = shortestPause
    private var lost: ClosedRange<Int64>?

    /// - Parameter bounds: of what came before its turn; what is forgotten for their sake is read again.
    init(after head: Int64, patience: GapPatience, bounds: StreamLimits.Size) {
        self.head = head
        self.patience = patience
        self.bounds = bounds
    }

    /// Whether something is known to be above the head.
    var isBehind: Bool { !sightings.isEmpty }
    var aheadCount: Int { ahead.count }

    /// A message was told of.
    ///
    /// - Returns: the messages whose turn it is now, in order.
    mutating func receive(_ message: Message, now: Duration) -> [Message] {
        var due: [Message] = []
        take(LogEntry(message), now: now, into: &due)
        assert(isSound)
        return due
    }

    /// The store is known to have that number.
    mutating func see(_ highest: Int64, now: Duration) {
        guard highest > sightings.last?.highest ?? head else { return }
        if let last = sightings.last, now - last.since < .milliseconds(10) {
            sightings[sightings.count - 1] = Sighting(highest: highest, since: last.since)
        } else if sightings.count < Self.maxSightings {
            sightings.append(Sighting(highest: highest, since: now))
        } else {
            // Rather waited for too long than given up too soon.
            sightings[sightings.count - 1] = Sighting(highest: highest, since: now)
        }
    }

    /// The moment when there is work for the store; nil while there is none, or some is being done.
    var nextWork: Duration? {
        guard !isAtWork, let first = sightings.first else { return nil }
        return max(first.since + patience.look, notBefore)
    }

    /// The work that is due. One at a time: `finish` must follow.
    mutating func startWork(now: Duration) -> Work? {
        guard let nextWork, nextWork <= now else { return nil }
        isAtWork = true
        defer { lost = nil }
        // What was lost may have come meanwhile.
        if let lost, lost.upperBound > head { return .settle(max(lost.lowerBound, head + 1)...lost.upperBound) }
        return .read(after: head)
    }

    /// Takes in what came of the work.
    ///
    /// - Parameter clock: the time of day.
    /// - Returns: the messages whose turn it is now, in order.
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
            // The next number has no row, though a higher one has.
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
            // The store does not show what was told of: it is a copy that is behind.
            rest(now: now, atMost: Self.longestPause)
        } else {
            // There was more than a page.
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
            if let old = ahead.removeValue(forKey: head + 1) { aheadBytes -= old?.weight ?? 0 }
            advance(over: entry.message, into: &due)
        }
        while let next = ahead.removeValue(forKey: head + 1) {
            aheadBytes -= next?.weight ?? 0
            advance(over: next, into: &due)
        }
        while let first = sightings.first, first.highest <= head { sightings.removeFirst() }
        // Another number is missing now, if any.
        notBefore = .zero
        pause = Self.shortestPause
    }

    private mutating func advance(over message: Message?, into due: inout [Message]) {
        head += 1
        voids = message == nil ? voids + 1 : 0
        if let message { due.append(message) }
    }

    /// Goes past void numbers.
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
        // Many are not kept, but read again when it is their turn.
        guard entry.last == entry.number else { return }
        if let old = ahead.updateValue(entry.message, forKey: entry.number.rawValue) { aheadBytes -= old?.weight ?? 0 }
        aheadBytes += entry.message?.weight ?? 0
        if ahead.count > bounds.messages || aheadBytes > bounds.bytes {
            ahead = [:]
            aheadBytes = 0
        }
    }
}
