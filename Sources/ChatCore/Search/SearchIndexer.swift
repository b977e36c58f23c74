package import Logging
package import Metrics
import Scheduling
import ServiceLifecycle

/// Puts messages into search blocks, in the background: full blocks as chats grow, smaller ones of chats that have become
/// quiet, and at its start and every hour whatever is missing, newest chats first, down to the last few messages of chats
/// that have been quiet for longer.
///
/// Any number of processes may run one: a block that another one has stored meanwhile is not stored again. Searches never
/// wait for it, and it has a thread of low priority, so that creates go first where the processors are busy. The blocks hold no number at or above one that may still come (`LogReader.entries`).
package struct SearchIndexer: Service {
    private let index: any SearchIndex
    private let messages: any MessageStore
    private let reader: LogReader
    private let time: Timekeeper
    private let clock: WallClock
    private let limits: SearchIndexLimits
    private let logger: Logger
    private let metrics: SearchIndexMetrics

    package init(
        index: any SearchIndex, messages: any MessageStore, readers: any LogReaders, log: any ChatLog,
        limits: SearchIndexLimits = SearchIndexLimits(), time: Timekeeper = .continuous, clock: WallClock = .system,
        logger: Logger, metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) {
        self.index = index
        self.messages = messages
        self.reader = LogReader("search", readers: readers, messages: messages, log: log, clock: clock)
        self.time = time
        self.clock = clock
        self.limits = limits
        self.logger = logger
        self.metrics = SearchIndexMetrics(metrics)
    }

    package func run() async throws {
        let thread = ThreadExecutor(name: "luciq-indexer", for: .tasks, priority: .low)
        defer { thread.stop() }
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask(executorPreference: thread) {
                    var place = WalkPlace()
                    await repeating(each: limits.walkPause) { try await walk(from: &place) }
                }
                group.addTask(executorPreference: thread) {
                    var tails = SearchTails(limits: limits)
                    await repeating(each: limits.pause) { try await follow(&tails) }
                }
            }
        }
    }

    /// Repeats until it is cancelled; failures are logged once in a row, and tried again.
    private func repeating(each pause: Duration, _ body: () async throws -> Void) async {
        var hasFailed = false
        while !Task.isCancelled {
            do {
                try await body()
                hasFailed = false
            } catch is CancellationError {
                return
            } catch {
                if !hasFailed { logger.warning("Search index paused", metadata: ["error": "\(error)"]) }
                hasFailed = true
            }
            try? await time.sleep(time.now() + (hasFailed ? min(pause, limits.retryPause) : pause))
        }
    }

    /// Indexes the chats that have changed.
    func follow(_ tails: inout SearchTails) async throws {
        let changed = try await index.changedChats()
        for some in (changed + tails.quiet(at: time.now())).uniqued().chunks(of: limits.chatsAtOnce) {
            let some = Array(some)
            let heads = try await index.heads(of: some)
            let last = try await messages.lastNumbers(of: some)
            for chat in some {
                let head = heads[chat] ?? SearchHead()
                let end = last[chat, default: 0]
                guard let due = tails.due(chat, from: head.indexedTo, to: end, at: time.now()) else { continue }
                let isQuiet = due == .rest
                // What does not fill another block is read when it does.
                let full = isQuiet ? 1 : tails.full(of: chat)
                let rest = try await extend(chat, head, isQuiet: isQuiet, upTo: end, whileLeft: full)
                tails.see(chat, rest)
            }
        }
    }

    /// The fewest messages of a block of an old tail.
    private var leastOld: Int { min(limits.smallest, index.smallestTail) }

    /// How far a walk of all chats has come, for going on after a failure.
    struct WalkPlace {
        fileprivate var last: Chat.ID?
        fileprivate var highest: Int64 = 1
    }

    /// Indexes all chats, newest first.
    ///
    /// - Parameter place: where an earlier call has failed.
    func walk(from place: inout WalkPlace) async throws {
        while true {
            let chats = try await index.chats(below: place.last, limit: limits.chatsAtOnce)
            guard let lowest = chats.last else { break }
            if place.last == nil { place.highest = max(1, chats[0].rawValue) }
            let heads = try await index.heads(of: chats)
            let covered = try await index.coverage(of: chats)
            let ends = try await messages.lastNumbers(of: chats)
            for chat in chats {
                let indexedTo = heads[chat]?.indexedTo ?? 0
                if covered[chat, default: 0] < indexedTo { try await fillHoles(of: chat) }
                // With the head of now: the chats before may have taken long.
                if ends[chat, default: 0] - indexedTo >= leastOld { try await self.index(chat) }
            }
            place.last = lowest
            metrics.walked.set(1 - Double(lowest.rawValue) / Double(place.highest))
        }
        place = WalkPlace()
        metrics.walked.set(1)
    }

    /// Indexes all chats once.
    func walk() async throws {
        var place = WalkPlace()
        try await walk(from: &place)
    }

    /// Indexes a chat to its end.
    func index(_ chat: Chat.ID) async throws { try await extend(chat, head(of: chat), isQuiet: true) }

    /// What is left after the last block of a chat.
    struct Rest { var messages = 0, bytes = 0 }

    /// Indexes what follows the chat's last block.
    ///
    /// - Parameters:
    ///   - isQuiet: whether to make a block of the rest too.
    ///   - end: the chat's last number, as far as is known.
    ///   - least: so many numbers before that are worth reading on, after a block.
    /// - Returns: what is in no block, and was read.
    @discardableResult
    func extend(
        _ chat: Chat.ID, _ start: SearchHead, isQuiet: Bool, upTo end: Int64 = .max, whileLeft least: Int64 = 1
    ) async throws -> Rest {
        var head = start
        let enough = end == .max ? end : end - least + 1
        guard let tail = try await putFull(chat, after: start.indexedTo, enough: enough, &head) else { return Rest() }
        let rest = Rest(messages: tail.count, bytes: tail.bytes)
        let isOld = tail.newestAt.adding(limits.old) <= clock.now()
        guard isQuiet, tail.count >= (isOld ? leastOld : limits.smallest) else { return rest }
        var last = tail
        let first = try await firstSmall(before: tail, of: chat)
        if first < tail.first {
            head = try await self.head(of: chat)
            guard let whole = try await putFull(chat, after: first - 1, &head) else { return Rest() }
            last = whole
        }
        return try await put(last, &head) ? Rest() : rest
    }

    /// Stores the full blocks of the entries after a number.
    ///
    /// - Parameters:
    ///   - end: the last number.
    ///   - enough: a block that ends there or above is the last one.
    /// - Returns: what follows the last of them; nil if one was refused.
    private func putFull(
        _ chat: Chat.ID, after number: Int64, upTo end: Int64 = .max, enough: Int64 = .max, _ head: inout SearchHead
    ) async throws -> SearchBlockBuilder? {
        var builder = SearchBlockBuilder(chat, after: number)
        // The last entry that was passed, in a block or too long for one.
        var last = number
        while last < end, let entries = try await reader.entries(in: chat, after: last), !entries.isEmpty {
            try Task.checkCancellation()
            for entry in entries where entry.number.rawValue <= end {
                let isIn = builder.append(entry.upTo(end))
                last = min(end, entry.last.rawValue)
                guard builder.isFull || !isIn else { continue }
                if builder.last >= builder.first, try await !put(builder, &head) { return nil }
                builder = SearchBlockBuilder(chat, after: last)
                if last >= enough { return builder }
            }
        }
        return builder
    }

    /// - Returns: false if it was refused.
    private func put(_ builder: SearchBlockBuilder, _ head: inout SearchHead) async throws -> Bool {
        guard let block = builder.block() else { return true }
        guard try await store(block, at: head) else { return false }
        head.indexedTo = max(head.indexedTo, block.span.upperBound)
        return true
    }

    /// Where the small blocks begin that become one with the tail after them: each one of which has no more messages than
    /// what follows it. So a message is put into few blocks, and the chat has few small ones: about as many of both as its
    /// messages can be halved.
    private func firstSmall(before tail: SearchBlockBuilder, of chat: Chat.ID) async throws -> Int64 {
        var (first, count) = (tail.first, tail.count)
        while first > 1, let block = try await index.outlines(of: chat, after: first - 2, limit: 1).first,
            block.span.upperBound == first - 1, block.bytes < SearchBlock.size, block.count <= count
        {
            first = block.span.lowerBound
            count += block.count
        }
        return first
    }

    /// Makes blocks of what is covered by none below the head.
    private func fillHoles(of chat: Chat.ID) async throws {
        var head = try await self.head(of: chat)
        let end = head.indexedTo
        var covered: Int64 = 0
        while covered < end {
            let outlines = try await index.outlines(of: chat, after: covered, limit: limits.outlinesAtOnce)
            for outline in outlines {
                try await fill(chat, after: covered, upTo: outline.span.lowerBound - 1, &head)
                covered = outline.span.upperBound
            }
            if outlines.isEmpty {
                try await fill(chat, after: covered, upTo: end, &head)
                return
            }
        }
    }

    private func fill(_ chat: Chat.ID, after start: Int64, upTo end: Int64, _ head: inout SearchHead) async throws {
        guard start < end, let rest = try await putFull(chat, after: start, upTo: end, &head) else { return }
        _ = try await put(rest, &head)
    }

    private func store(_ block: SearchBlock, at head: SearchHead) async throws -> Bool {
        let began = time.now()
        guard try await index.store(block, at: head) else { return false }
        metrics.messages.increment(by: block.count)
        // Creates share the writer with it.
        if limits.idleShare > 0 { try await time.sleep(time.now() + (time.now() - began) * limits.idleShare) }
        return true
    }

    private func head(of chat: Chat.ID) async throws -> SearchHead {
        try await index.heads(of: [chat])[chat] ?? SearchHead()
    }
}

extension LogEntry {
    /// The part of it up to a number, which is not below its first.
    fileprivate func upTo(_ number: Int64) -> LogEntry {
        last.rawValue <= number ? self : LogEntry(voids: self.number.rawValue...number)
    }
}

/// The bounds of the search index.
package struct SearchIndexLimits: Sendable {
    /// How often changed chats are looked at.
    package var pause = Duration.seconds(2)
    /// How often all chats are walked.
    package var walkPause = Duration.seconds(3600)
    /// How long to wait after a failure.
    package var retryPause = Duration.seconds(10)
    /// How long to rest after each block, in times of what storing it took.
    package var idleShare = 4
    /// A chat without new messages for this long is quiet.
    package var quiet = Duration.seconds(60)
    /// The fewest messages of a block that is not full.
    package var smallest = 32
    /// When the newest message of a chat's tail is that old, `SearchIndex.smallestTail` are enough.
    package var old = Duration.seconds(300)
    /// Chats whose tails are kept in mind; the walk finds others.
    package var tails = 65_536
    package var chatsAtOnce = 256
    package var outlinesAtOnce = 1024

    package init() {}
}

/// The tails of chats, what is in no block yet: tells which are worth reading.
struct SearchTails {
    enum Due { case full, rest }

    private struct Tail {
        /// The chat's highest number, and when it rose last.
        var last: Int64
        var since: Duration
        /// So many numbers fill a block, as far as is known.
        var full: Int64
    }

    private let limits: SearchIndexLimits
    private var tails: [Chat.ID: Tail] = [:]

    init(limits: SearchIndexLimits) { self.limits = limits }

    /// Chats that may have become quiet.
    func quiet(at now: Duration) -> [Chat.ID] { tails.filter { now - $0.value.since >= limits.quiet }.map(\.key) }

    /// - Parameters:
    ///   - indexedTo, last: the tail lies between.
    /// - Returns: nil if it should grow first.
    mutating func due(_ chat: Chat.ID, from indexedTo: Int64, to last: Int64, at now: Duration) -> Due? {
        let count = last - indexedTo
        guard count >= limits.smallest else {
            tails[chat] = nil
            return nil
        }
        var tail = tails[chat] ?? Tail(last: 0, since: now, full: Int64(limits.smallest))
        if last > tail.last { (tail.last, tail.since) = (last, now) }
        if count >= tail.full {
            tails[chat] = tails[chat] == nil && tails.count >= limits.tails ? nil : tail
            return .full
        }
        if now - tail.since >= limits.quiet {
            tails[chat] = nil
            return .rest
        }
        if tails[chat] != nil || tails.count < limits.tails { tails[chat] = tail }
        return nil
    }

    /// So many numbers fill a block of the chat, as far as is known.
    func full(of chat: Chat.ID) -> Int64 { tails[chat]?.full ?? Int64(limits.smallest) }

    /// Estimates from what was read of a tail how many messages fill a block.
    mutating func see(_ chat: Chat.ID, _ rest: SearchIndexer.Rest) {
        guard rest.bytes > 0 else { return }
        let full = Int64(rest.messages) * Int64(SearchBlock.size) / Int64(rest.bytes) + 1
        tails[chat]?.full = max(full, Int64(rest.messages) + 1)
    }
}

private struct SearchIndexMetrics: Sendable {
    let messages: Counter
    let walked: Meter

    init(_ factory: any MetricsFactory) {
        self.messages = Counter(label: "luciq_search_indexed_messages_total", factory: factory)
        self.walked = Meter(label: "luciq_search_index_walk_ratio", factory: factory)
    }
}

extension Array where Element: Hashable {
    fileprivate func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
