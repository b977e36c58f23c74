package import Logging
package import Metrics
import ServiceLifecycle

/// Puts messages into search blocks, in the background: full blocks as chats grow, smaller ones of chats that have become
/// quiet, and at its start and every hour whatever is missing, newest chats first.
///
/// Any number of processes may run one: a block that another one has stored meanwhile is not stored again. Searches never
/// wait for it. The blocks hold no number at or above one that may still come (`LogReader.entries`).
package struct SearchIndexer: Service {
    private let index: any SearchIndex
    private let messages: any MessageStore
    private let reader: LogReader
    private let time: Timekeeper
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
        self.limits = limits
        self.logger = logger
        self.metrics = SearchIndexMetrics(metrics)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await repeating(each: limits.walkPause) { try await walk() } }
                group.addTask {
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
                let rest = try await extend(chat, head, isQuiet: due == .rest)
                tails.see(chat, rest)
            }
        }
    }

    /// Indexes all chats, newest first.
    func walk() async throws {
        var (last, highest): (Chat.ID?, Int64) = (nil, 1)
        while true {
            let chats = try await index.chats(below: last, limit: limits.chatsAtOnce)
            guard let lowest = chats.last else { break }
            if last == nil { highest = max(1, chats[0].rawValue) }
            last = lowest
            let heads = try await index.heads(of: chats)
            let covered = try await index.coverage(of: chats)
            let ends = try await messages.lastNumbers(of: chats)
            for chat in chats {
                let indexedTo = heads[chat]?.indexedTo ?? 0
                if covered[chat, default: 0] < indexedTo { try await fillHoles(of: chat) }
                // With the head of now: the chats before may have taken long.
                if ends[chat, default: 0] >= indexedTo + limits.smallest { try await self.index(chat) }
            }
            metrics.walked.record(1 - Double(lowest.rawValue) / Double(highest))
        }
        metrics.walked.record(1)
    }

    /// Indexes a chat to its end.
    func index(_ chat: Chat.ID) async throws { try await extend(chat, head(of: chat), isQuiet: true) }

    /// What is left after the last block of a chat.
    struct Rest { var messages = 0, bytes = 0 }

    /// Indexes what follows the chat's last block.
    ///
    /// - Parameter isQuiet: whether to make a block of the rest too, or enlarge the last one by it.
    /// - Returns: what is in no block.
    @discardableResult
    func extend(_ chat: Chat.ID, _ start: SearchHead, isQuiet: Bool) async throws -> Rest {
        var head = start
        var builder = SearchBlockBuilder(chat, after: start.indexedTo)
        func put() async throws -> Bool {
            guard let block = builder.block(), try await store(block, at: head) else { return false }
            head.indexedTo = max(head.indexedTo, block.span.upperBound)
            builder = SearchBlockBuilder(chat, after: block.span.upperBound)
            return true
        }
        while let entries = try await reader.entries(in: chat, after: builder.last), !entries.isEmpty {
            try Task.checkCancellation()
            for entry in entries {
                builder.append(entry)
                if builder.isFull, try await !put() { return Rest() }
            }
        }
        let rest = Rest(messages: builder.count, bytes: builder.bytes)
        guard isQuiet, builder.count >= limits.smallest else { return rest }
        // A small block grows when it doubles, so that each message is indexed a few times at most.
        if let last = try await lastOutline(of: chat, head), last.bytes < SearchBlock.size {
            guard builder.count >= last.count else { return rest }
            head = try await self.head(of: chat)
            builder = SearchBlockBuilder(chat, after: last.span.lowerBound - 1)
            while !builder.isFull, let entries = try await reader.entries(in: chat, after: builder.last),
                !entries.isEmpty
            {
                for entry in entries where !builder.isFull { builder.append(entry) }
            }
        }
        return try await put() ? Rest() : rest
    }

    /// Makes blocks of what is covered by none below the head.
    private func fillHoles(of chat: Chat.ID) async throws {
        let head = try await self.head(of: chat)
        var covered: Int64 = 0
        while covered < head.indexedTo {
            let outlines = try await index.outlines(of: chat, after: covered, limit: limits.outlinesAtOnce)
            for outline in outlines {
                try await fill(chat, after: covered, upTo: outline.span.lowerBound - 1, head)
                covered = outline.span.upperBound
            }
            if outlines.isEmpty {
                try await fill(chat, after: covered, upTo: head.indexedTo, head)
                return
            }
        }
    }

    private func fill(_ chat: Chat.ID, after start: Int64, upTo end: Int64, _ head: SearchHead) async throws {
        var builder = SearchBlockBuilder(chat, after: start)
        while builder.last < end {
            try Task.checkCancellation()
            // Nothing above the head is in the block, so none of it may come later.
            guard let entries = try await reader.entries(in: chat, after: builder.last), !entries.isEmpty else { break }
            for entry in entries where entry.last.rawValue <= end && !builder.isFull { builder.append(entry) }
            let isAtEnd = entries.last.map { $0.last.rawValue >= end } ?? true
            guard builder.isFull || isAtEnd else { continue }
            guard let block = builder.block(), try await store(block, at: head) else { return }
            if isAtEnd && block.span.upperBound >= end { return }
            builder = SearchBlockBuilder(chat, after: block.span.upperBound)
        }
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

    private func lastOutline(of chat: Chat.ID, _ head: SearchHead) async throws -> SearchBlockOutline? {
        guard head.indexedTo > 0 else { return nil }
        return try await index.outlines(of: chat, after: head.indexedTo - 1, limit: 1).last
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
    package var smallest: Int64 = 32
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
        var tail = tails[chat] ?? Tail(last: 0, since: now, full: limits.smallest)
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

    /// Estimates from what was read of a tail how many messages fill a block.
    mutating func see(_ chat: Chat.ID, _ rest: SearchIndexer.Rest) {
        guard rest.bytes > 0 else { return }
        let full = Int64(rest.messages) * Int64(SearchBlock.size) / Int64(rest.bytes) + 1
        tails[chat]?.full = max(full, Int64(rest.messages) + 1)
    }
}

private struct SearchIndexMetrics: Sendable {
    let messages: Counter
    let walked: Gauge

    init(_ factory: any MetricsFactory) {
        self.messages = Counter(label: "luciq_search_indexed_messages_total", factory: factory)
        self.walked = Gauge(label: "luciq_search_index_walk_ratio", factory: factory)
    }
}

extension Array where Element: Hashable {
    fileprivate func uniqued() -> [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
