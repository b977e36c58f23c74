import TestSupport

@testable import ChatCore

/// A small world in which everything goes wrong that a cluster can do to a stream, all of it decided by a seed: writers
/// that are late or die, a bus that loses, repeats and mixes up, a store that fails or is behind, readers that come, go
/// and dawdle. Only the decisions are real: `ChatFeed`, `LogOrder` and `LiveWindow`.
struct StreamSimulation {
    struct Reader {
        let id: UInt64
        let cursor: Int64
        /// When it came without a cursor.
        let cameForTheNext: Duration?
        var received: [Int64] = []
        var catchUp: LogOrder
        var goal: Int64 = 0
        var isSlow: Bool
        var isWaiting = false
        var isTooSlow = false
        var hasLeft = false
    }

    private struct Row {
        let entry: LogEntry
        let since: Duration
    }

    private enum Event {
        case write
        case commit([Int64])
        case publish([Message])
        case poll
        case arrive(cursor: Int64?)
        case lookUp
        case opened(tail: LogTail)
        case leave
        case step(reader: Int)
        case climb(reader: Int)
        case feedWork
        case storeCall(LogOrder.Work, reader: Int?)
        case finding(LogOrder.Finding, reader: Int?)
    }

    static let start = Timestamp(microseconds: 1_763_830_664_194_123)

    private(set) var readers: [Reader] = []
    private(set) var voids = 0
    /// The feed's requests to the store.
    private(set) var feedCalls = 0
    /// The longest time from a commit, or from the feed's start, until the message could be delivered.
    private(set) var longestHold = Duration.zero
    /// The bounds that were exceeded.
    private(set) var excesses: [String] = []
    private var limits = StreamLimits()
    private var weather: Weather
    private var random: SeededRandom
    private var now = Duration.zero
    private var events: [(at: Duration, order: Int, event: Event)] = []
    private var lastOrder = 0
    private var rows: [Int64: Row] = [:]
    /// The highest number in it.
    private var highest: Int64 = 0
    private var lastNumber: Int64 = 0
    private var feed: ChatFeed?
    private var opened = Duration.zero
    private var isOpening = false
    private var heard: Int64 = 0
    private var arriving: [Int64?] = []
    private var isFeedAtWork = false
    private var given: Int64 = 0
    private var isOver = false

    init(seed: UInt64, weather: Weather = Weather()) {
        self.random = SeededRandom(seed: seed)
        self.weather = weather
        limits.window = .init(messages: weather.bounds.window, bytes: 350 * weather.bounds.window)
        limits.smallWindow = .init(messages: Int.random(in: 1...6, using: &random), bytes: 1000)
        limits.ahead = .init(messages: weather.bounds.ahead, bytes: 350 * weather.bounds.ahead)
        limits.page = .init(messages: 4, bytes: 1000)
    }

    /// - Returns: the numbers that hold a message after `cursor`.
    func messages(after cursor: Int64) -> [Int64] {
        rows.values.filter { $0.entry.message != nil && $0.entry.number.rawValue > cursor }
            .map(\.entry.number.rawValue).sorted()
    }

    /// - Returns: the numbers of the messages that were stored after a moment.
    func messages(storedAfter moment: Duration) -> [Int64] {
        rows.values.filter { $0.entry.message != nil && $0.since > moment }.map(\.entry.number.rawValue).sorted()
    }

    /// Runs `writes` batches, with readers between them, then stops all faults and runs until nothing is left to do.
    ///
    /// - Parameter audience: whether there is a reader from the start, and none leaves.
    mutating func run(writes: Int, arrivals: Int, audience: Bool = false) {
        if audience {
            arrive(nil)
            open(LogTail(upTo: 0))
        }
        let end = Duration.milliseconds(30 * writes)
        for _ in 0..<writes { plan(.write, in: moment(before: end)) }
        for _ in 0..<arrivals {
            let cursor: Int64? =
                switch Int.random(in: 0..<4, using: &random) {
                case 0: nil
                case 1: 0
                case 2: Int64.random(in: 0...Int64(2 * writes), using: &random)
                default: Int64.random(in: 0...Int64(5 * writes), using: &random)
                }
            plan(.arrive(cursor: cursor), in: moment(before: end))
        }
        for _ in 0..<(audience ? 0 : arrivals / 3) { plan(.leave, in: moment(before: end)) }
        if weather.polls { plan(.poll, in: .seconds(1)) }
        while now < end + .seconds(60), let next = events.popLast() {
            now = next.at
            if now > end { weather.failedStoreCalls = 0 }
            isOver = now > end + .seconds(30)
            happen(next.event)
            check()
        }
    }

    private mutating func happen(_ event: Event) {
        switch event {
        case .write: write()
        case .commit(let numbers): commit(numbers)
        case .publish(let messages):
            heard = messages.reduce(heard) { max($0, $1.number.rawValue) }
            feed?.receive(messages, now: now)
            feedChanged()
        case .poll:
            feed?.see(highest, now: now)
            feedChanged()
            if !isOver { plan(.poll, in: .seconds(1)) }
        case .arrive(let cursor): arrive(cursor)
        case .lookUp: plan(.opened(tail: lookUp()), in: moment(before: .milliseconds(20)))
        case .opened(let tail): open(tail)
        case .leave: leave()
        case .step(let reader): step(reader)
        case .climb(let reader): climb(reader)
        case .feedWork: feedWork()
        case .storeCall(let work, let reader): call(work, reader)
        case .finding(let finding, let reader): take(finding, reader)
        }
    }

    // MARK: Writers

    private mutating func write() {
        let count = Int64.random(in: 1...4, using: &random)
        let numbers = Array(lastNumber + 1...lastNumber + count)
        lastNumber += count
        if chance(weather.deadWriters) { return }
        plan(
            .commit(numbers), in: chance(weather.lateWriters) ? moment(before: weather.writersDelay) : .milliseconds(1))
    }

    private mutating func commit(_ numbers: [Int64]) {
        var numbers = numbers
        for index in numbers.indices where rows[numbers[index]] != nil {
            // The fence: another one is taken.
            lastNumber += 1
            numbers[index] = lastNumber
        }
        numbers.sort()
        let skew = weather.clockSkew * Double.random(in: -1...1, using: &random)
        let time = Self.start.adding(now + skew)
        let messages = numbers.map { number in
            Message(
                number: Message.Number(number),
                body: String(repeating: "x", count: Int.random(in: 0...200, using: &random)), createdAt: time)
        }
        for message in messages {
            rows[message.number.rawValue] = Row(entry: LogEntry(message), since: now)
            highest = max(highest, message.number.rawValue)
        }
        let cut = Int.random(in: 0...messages.count, using: &random)
        for part in [Array(messages[..<cut]), Array(messages[cut...])] where !part.isEmpty {
            if chance(weather.lostPublishes) { continue }
            plan(
                .publish(part),
                in: chance(weather.latePublishes) ? moment(before: weather.publishDelay) : .milliseconds(1))
            if chance(weather.repeatedPublishes) { plan(.publish(part), in: moment(before: .seconds(2))) }
        }
    }

    // MARK: The store

    private mutating func call(_ work: LogOrder.Work, _ reader: Int?) {
        guard !chance(weather.failedStoreCalls) else {
            return plan(.finding(.failure, reader: reader), in: moment(before: .milliseconds(20)))
        }
        let finding: LogOrder.Finding
        switch work {
        case .read(let after):
            let moment = chance(weather.staleReads) ? max(.zero, now - self.moment(before: .milliseconds(700))) : now
            let visible = stride(from: after + 1, through: highest, by: 1).lazy.compactMap { [rows] in rows[$0] }
                .filter { $0.since <= moment }
            finding = .rows(withVoids(visible.prefix(limits.page.messages).map(\.entry)))
        case .settle(let numbers):
            // A number that no writer was given must not be used up.
            if numbers.upperBound >= highest { excesses.append("\(numbers) settled") }
            settle(numbers)
            finding = .settled
        }
        plan(.finding(finding, reader: reader), in: moment(before: .milliseconds(20)))
    }

    /// The store may know how many void rows follow a page that ends with one.
    private mutating func withVoids(_ page: [LogEntry]) -> [LogEntry] {
        guard let last = page.last, last.message == nil, chance(0.5) else { return page }
        var end = last.number.rawValue
        while let row = rows[end + 1], row.entry.message == nil { end += 1 }
        return end == last.number.rawValue ? page : page + [LogEntry(voids: last.number.rawValue + 1...end)]
    }

    private mutating func settle(_ numbers: ClosedRange<Int64>) {
        for number in numbers where rows[number] == nil {
            let entry = LogEntry(number: Message.Number(number), message: nil, createdAt: Self.start.adding(now))
            rows[number] = Row(entry: entry, since: now)
            voids += 1
        }
    }

    private mutating func take(_ finding: LogOrder.Finding, _ reader: Int?) {
        guard let reader else {
            isFeedAtWork = false
            feed?.finish(finding, now: now, clock: Self.start.adding(now))
            return feedChanged()
        }
        let messages = readers[reader].catchUp.finish(finding, now: now, clock: Self.start.adding(now))
        readers[reader].received += messages.map(\.number.rawValue)
        let position = readers[reader].catchUp.head
        guard !messages.isEmpty || position >= readers[reader].goal else { return plan(.climb(reader: reader)) }
        feed?.window.move(readers[reader].id, to: position)
        rest(reader)
    }

    // MARK: The feed

    private mutating func feedChanged() {
        guard let feed else { return }
        for index in readers.indices where readers[index].isWaiting && feed.window.hasNews(for: readers[index].id) {
            readers[index].isWaiting = false
            plan(.step(reader: index))
        }
        if !isFeedAtWork, let next = feed.order.nextWork { plan(.feedWork, in: max(.zero, next - now)) }
    }

    private mutating func feedWork() {
        guard !isFeedAtWork, let work = feed?.startWork(now: now) else { return }
        isFeedAtWork = true
        feedCalls += 1
        plan(.storeCall(work, reader: nil), in: moment(before: .milliseconds(20)))
    }

    private func lookUp() -> LogTail {
        let start = max(0, highest - LogTail.depth)
        let numbers = stride(from: start + 1, through: highest, by: 1).lazy.filter { rows[$0] != nil }
        return LogTail(after: start, rows: numbers.map { ($0, rows[$0]!.entry.createdAt) })
    }

    private mutating func open(_ tail: LogTail) {
        guard isOpening else { return }
        isOpening = false
        let lost = tail.lost(at: Self.start.adding(now), grace: limits.gaps.grace)
        if let lost { settle(lost) }
        let head = tail.complete(without: lost)
        feed = ChatFeed(head: head, highest: max(tail.highest, heard), now: now, limits: limits)
        (given, opened) = (head, now)
        isFeedAtWork = false
        for cursor in arriving { join(cursor) }
        arriving = []
        feedChanged()
    }

    // MARK: Readers

    private mutating func arrive(_ cursor: Int64?) {
        guard feed == nil else { return join(cursor) }
        arriving.append(cursor)
        if !isOpening {
            isOpening = true
            heard = 0
            plan(.lookUp, in: moment(before: .milliseconds(20)))
        }
    }

    private mutating func join(_ cursor: Int64?) {
        let id = UInt64(readers.count)
        guard let start = feed?.window.join(id, after: cursor) else { return }
        readers.append(
            Reader(
                id: id, cursor: start, cameForTheNext: cursor == nil ? now : nil,
                catchUp: .ofOldMessages(after: start, limits: limits), isSlow: chance(weather.slowReaders)))
        plan(.step(reader: readers.count - 1))
    }

    private mutating func leave() {
        guard let index = readers.indices.filter({ !readers[$0].hasLeft }).randomElement(using: &random) else { return }
        end(index)
    }

    private mutating func end(_ index: Int) {
        readers[index].hasLeft = true
        feed?.window.leave(readers[index].id)
        // The last reader closes the feed.
        if readers.allSatisfy(\.hasLeft) { feed = nil }
    }

    private mutating func step(_ index: Int) {
        guard !readers[index].hasLeft, feed != nil, let taken = feed?.window.take(readers[index].id) else { return }
        switch taken {
        case .messages(let messages):
            readers[index].received += messages.map(\.number.rawValue)
            if messages.count > limits.page.messages { excesses.append("page") }
            rest(index)
        case .nothing: readers[index].isWaiting = true
        case .behind(let position, let goal):
            readers[index].goal = goal
            if readers[index].catchUp.head != position {
                readers[index].catchUp = .ofOldMessages(after: position, limits: limits)
            }
            readers[index].catchUp.see(goal, now: now)
            plan(.climb(reader: index))
        case .tooSlow:
            readers[index].isTooSlow = true
            end(index)
        case .gone: excesses.append("a reader was forgotten")
        }
    }

    private mutating func climb(_ index: Int) {
        guard !readers[index].hasLeft else { return }
        guard let next = readers[index].catchUp.nextWork else { return excesses.append("a reader has nothing to do") }
        guard next <= now else { return plan(.climb(reader: index), in: next - now) }
        guard let work = readers[index].catchUp.startWork(now: now) else { return }
        plan(.storeCall(work, reader: index), in: moment(before: .milliseconds(20)))
    }

    private mutating func rest(_ index: Int) {
        plan(.step(reader: index), in: readers[index].isSlow ? moment(before: .seconds(1)) : .milliseconds(1))
    }

    // MARK: The world

    private mutating func check() {
        guard let feed else { return }
        if feed.window.count > limits.window.messages || feed.window.bytes > limits.window.bytes {
            excesses.append("window")
        }
        if feed.order.aheadCount > limits.ahead.messages { excesses.append("ahead") }
        while given < feed.window.head {
            given += 1
            guard let row = rows[given] else { return excesses.append("\(given) was passed over") }
            if row.entry.message != nil { longestHold = max(longestHold, now - max(row.since, opened)) }
        }
    }

    private mutating func plan(_ event: Event, in time: Duration = .zero) {
        lastOrder += 1
        let at = now + time
        // Latest first: the next one is the last.
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if events[middle].at > at { low = middle + 1 } else { high = middle }
        }
        events.insert((at, lastOrder, event), at: low)
    }

    private mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    private mutating func moment(before end: Duration) -> Duration { end * Double.random(in: 0..<1, using: &random) }
}
