import TestSupport

@testable import ChatCore

/// A small world in which everything goes wrong that a cluster can do to a stream, all of it decided by a seed: writers
/// that are late or die, a bus that loses, repeats and mixes up, a store that fails or is behind, readers that come, go
/// and dawdle. Only the decisions are real: `ChatFeed`, `LogOrder`, `LiveWindow` and `ChangeWindow`.
struct StreamSimulation {
    struct Reader {
        let id: UInt64
        let cursor: Int64
        /// Where its changes begin; nil for a reader of messages alone.
        var firstRevision: Int64?
        /// What it has of each message: the revisions of its parts.
        var held: [Int64: Parts] = [:]
        var position = Cursor(0)
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

    struct Parts: Equatable {
        var content: Int64 = 0
        var reactions: Int64 = 0
    }

    struct Row {
        var entry: LogEntry
        let since: Duration
    }

    enum Event {
        case write
        case commit([Int64])
        case publish([Message])
        case poll
        case arrive(cursor: Int64?)
        case lookUp
        case opened(tail: LogTail, revision: Int64)
        case edit
        case tell(revision: Int64)
        case changeWork
        case changesFound([ChangedItem]?, [ChangeEvent])
        case walk(reader: Int, start: Cursor, goal: Int64)
        case walked(reader: Int, ChangeWalk.Page)
        case leave
        case step(reader: Int)
        case climb(reader: Int)
        case feedWork
        case storeCall(LogOrder.Work, reader: Int?)
        case finding(LogOrder.Finding, reader: Int?)
    }

    static let start = Timestamp(microseconds: 1_763_830_664_194_123)

    var readers: [Reader] = []
    /// Of changes.
    var newestRead = Duration.zero
    var voids = 0
    /// The feed's requests to the store.
    var feedCalls = 0
    /// The longest time from a commit, or from the feed's start, until the message could be delivered.
    var longestHold = Duration.zero
    /// The bounds that were exceeded.
    var excesses: [String] = []
    var limits = StreamLimits()
    var weather: Weather
    var random: SeededRandom
    var now = Duration.zero
    var events: [(at: Duration, order: Int, event: Event)] = []
    var lastOrder = 0
    var rows: [Int64: Row] = [:]
    /// The highest number in it.
    var highest: Int64 = 0
    var lastNumber: Int64 = 0
    var feed: ChatFeed?
    var opened = Duration.zero
    var isOpening = false
    var heard: Int64 = 0
    var arriving: [Int64?] = []
    var isFeedAtWork = false
    var given: Int64 = 0
    var isOver = false
    /// The changes so far, one of them for each revision: the number, and when.
    var log: [(number: Int64, at: Duration)] = []
    var isReadingChanges = false
    /// When the feed's first revision was read.
    var revisionBefore: Int64 = 0
    var heardRevision: Int64 = 0
    /// Changes that readers got.
    var delivered = 0

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
            open(LogTail(upTo: 0), revision: 0)
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
        for _ in 0..<Int(Double(writes) * weather.edits) { plan(.edit, in: moment(before: end)) }
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

    mutating func happen(_ event: Event) {
        switch event {
        case .write: write()
        case .commit(let numbers): commit(numbers)
        case .publish(let messages):
            heard = messages.reduce(heard) { max($0, $1.number.rawValue) }
            heardRevision = messages.reduce(heardRevision) { max($0, $1.revision) }
            feed?.receive(messages, now: now)
            feedChanged()
        case .poll:
            feed?.see(highest, now: now)
            feed?.see(revision: Int64(log.count))
            feedChanged()
            if !isOver { plan(.poll, in: .seconds(1)) }
        case .arrive(let cursor): arrive(cursor)
        case .lookUp:
            plan(.opened(tail: lookUp(), revision: revisionBefore), in: moment(before: .milliseconds(20)))
        case .opened(let tail, let revision): open(tail, revision: revision)
        case .edit: edit()
        case .tell(let revision):
            heardRevision = max(heardRevision, revision)
            feed?.see(revision: revision)
            feedChanged()
        case .changeWork: changeWork()
        case .changesFound(let items, let events):
            isReadingChanges = false
            _ = feed?.finishRead(items.map { ($0, events) }, now: now)
            feedChanged()
        case .walk(let reader, let start, let goal): walk(reader, start, goal)
        case .walked(let reader, let page): takeWalked(reader, page)
        case .leave: leave()
        case .step(let reader): step(reader)
        case .climb(let reader): climb(reader)
        case .feedWork: feedWork()
        case .storeCall(let work, let reader): call(work, reader)
        case .finding(let finding, let reader): take(finding, reader)
        }
    }

    // MARK: Writers

    mutating func write() {
        let count = Int64.random(in: 1...4, using: &random)
        let numbers = Array(lastNumber + 1...lastNumber + count)
        lastNumber += count
        if chance(weather.deadWriters) { return }
        plan(
            .commit(numbers), in: chance(weather.lateWriters) ? moment(before: weather.writersDelay) : .milliseconds(1))
    }

    mutating func commit(_ numbers: [Int64]) {
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

    // MARK: The feed

    mutating func feedChanged() {
        guard let feed else { return }
        for index in readers.indices where readers[index].isWaiting && feed.hasNews(for: readers[index].id) {
            readers[index].isWaiting = false
            plan(.step(reader: index))
        }
        if !isReadingChanges, let next = feed.nextRead { plan(.changeWork, in: max(.zero, next - now)) }
        if !isFeedAtWork, let next = feed.order.nextWork { plan(.feedWork, in: max(.zero, next - now)) }
    }

    mutating func feedWork() {
        guard !isFeedAtWork, let work = feed?.startWork(now: now) else { return }
        isFeedAtWork = true
        feedCalls += 1
        plan(.storeCall(work, reader: nil), in: moment(before: .milliseconds(20)))
    }

    func lookUp() -> LogTail {
        let start = max(0, highest - LogTail.depth)
        let numbers = stride(from: start + 1, through: highest, by: 1).lazy.filter { rows[$0] != nil }
        return LogTail(after: start, rows: numbers.map { ($0, rows[$0]!.entry.createdAt) })
    }

    mutating func open(_ tail: LogTail, revision: Int64) {
        guard isOpening else { return }
        isOpening = false
        let lost = tail.lost(at: Self.start.adding(now), grace: limits.gaps.grace)
        if let lost { settle(lost) }
        let head = tail.complete(without: lost)
        feed = ChatFeed(
            head: Cursor(head, revision: revision),
            highest: Cursor(max(tail.highest, heard), revision: max(revision, heardRevision)), now: now, limits: limits)
        isReadingChanges = false
        (given, opened) = (head, now)
        isFeedAtWork = false
        for cursor in arriving { join(cursor) }
        arriving = []
        feedChanged()
    }

    // MARK: Readers

    mutating func arrive(_ cursor: Int64?) {
        guard feed == nil else { return join(cursor) }
        arriving.append(cursor)
        if !isOpening {
            isOpening = true
            heard = 0
            heardRevision = 0
            revisionBefore = Int64(log.count)
            plan(.lookUp, in: moment(before: .milliseconds(20)))
        }
    }

    mutating func join(_ cursor: Int64?) {
        let id = UInt64(readers.count)
        let hasChanges = chance(weather.edits > 0 ? 0.6 : 0)
        // Half of them have seen some changes already.
        let revision = hasChanges && chance(0.5) ? Int64.random(in: 0...Int64(log.count), using: &random) : nil
        let from = cursor.map { Cursor($0, revision: revision) }
        guard let began = feed?.join(id, after: from, hasChanges: hasChanges) else { return }
        let start = began.number
        readers.append(
            Reader(
                id: id, cursor: start, firstRevision: began.revision, position: began,
                cameForTheNext: cursor == nil ? now : nil,
                catchUp: .ofOldMessages(after: start, limits: limits), isSlow: chance(weather.slowReaders)))
        plan(.step(reader: readers.count - 1))
        feedChanged()
    }

    mutating func leave() {
        guard let index = readers.indices.filter({ !readers[$0].hasLeft }).randomElement(using: &random) else { return }
        end(index)
    }

    mutating func end(_ index: Int) {
        readers[index].hasLeft = true
        _ = feed?.leave(readers[index].id)
        // The last reader closes the feed.
        if readers.allSatisfy(\.hasLeft) { feed = nil }
    }

    mutating func step(_ index: Int) {
        guard !readers[index].hasLeft, feed != nil, let taken = feed?.take(readers[index].id, in: .all) else { return }
        switch taken {
        case .events(let events):
            receive(index, events)
            if events.count > limits.page.messages { excesses.append("page") }
            rest(index)
        case .behindChanges(let start, let goal): plan(.walk(reader: index, start: start, goal: goal))
        case .nothing: readers[index].isWaiting = true
        case .behind(let start, let goal):
            readers[index].goal = goal
            if readers[index].catchUp.head != start.number {
                readers[index].catchUp = .ofOldMessages(after: start.number, limits: limits)
            }
            readers[index].catchUp.see(goal, now: now)
            plan(.climb(reader: index))
        case .tooSlow:
            readers[index].isTooSlow = true
            end(index)
        case .gone: excesses.append("a reader was forgotten")
        }
    }

    mutating func climb(_ index: Int) {
        guard !readers[index].hasLeft else { return }
        guard let next = readers[index].catchUp.nextWork else { return excesses.append("a reader has nothing to do") }
        guard next <= now else { return plan(.climb(reader: index), in: next - now) }
        guard let work = readers[index].catchUp.startWork(now: now) else { return }
        plan(.storeCall(work, reader: index), in: moment(before: .milliseconds(20)))
    }

    mutating func rest(_ index: Int) {
        plan(.step(reader: index), in: readers[index].isSlow ? moment(before: .seconds(1)) : .milliseconds(1))
    }

    // MARK: The world

    mutating func check() {
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

    mutating func plan(_ event: Event, in time: Duration = .zero) {
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

    mutating func chance(_ probability: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < probability
    }

    mutating func moment(before end: Duration) -> Duration { end * Double.random(in: 0..<1, using: &random) }
}
