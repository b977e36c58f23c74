import Metrics
import Scheduling

/// Feeds one generation of the engine's index, a pass at a time.
///
/// The order makes every loss visible. Documents first; then, in the engine, a marker that only fits after the last one;
/// then the refresh; then the marker's number in our own table; the cursors last. A search believes an index only with
/// that number, so it believes none that lacks a document below a cursor: an index that was wiped or restored in between
/// has a lower number, and no pass goes on from there. Whoever dies on the way leaves cursors that are too low, and the
/// next pass sends those documents again.
struct EngineFeeder: Sendable {
    enum Stop: Error {
        /// The index is not the one that was fed.
        case lost(String)
        /// The engine never accepts a document.
        case refused(String)
        /// Another process has written the marker: its documents are in, ours count from the next pass on.
        case contended
        /// Another process has removed the generation.
        case gone
    }

    private let engine: any SearchEngine
    private let source: EngineSource
    private let limits: EngineFeedLimits
    private let time: Timekeeper
    private let clock: WallClock
    private let metrics: EngineFeedMetrics

    init(
        _ engine: any SearchEngine, _ source: EngineSource, limits: EngineFeedLimits, time: Timekeeper,
        clock: WallClock, metrics: EngineFeedMetrics
    ) {
        self.engine = engine
        self.source = source
        self.limits = limits
        self.time = time
        self.clock = clock
        self.metrics = metrics
    }

    /// Sends what the index does not have of any chat.
    ///
    /// - Parameters:
    ///   - idleShare: how long to rest after each request, in times of what it took.
    ///   - progress: called with numbers passed.
    /// - Returns: whether all chats were read to their end.
    /// - Throws: `Stop`, `SearchEngineFailure`, `ChatError`, `CancellationError`.
    func pass(
        _ generation: SearchGeneration, idleShare: Int = 0, progress: (_ passed: Int64) -> Void = { _ in }
    ) async throws -> Bool {
        let generation = try await prepared(generation)
        guard let marker = try await engine.marker(of: generation.id) else {
            throw Stop.lost("it is gone, or has no marker")
        }
        guard marker.number >= generation.marker else {
            throw Stop.lost("its marker is \(marker.number), and \(generation.marker) was confirmed")
        }
        var load = Load(generation.id, after: marker, at: time.now(), idleShare: idleShare)
        let reader = LogReader(
            generation.id.reader, readers: source.readers, messages: source.messages, log: source.log, clock: clock)
        var sweep = try await source.readers.beginSweep(of: generation.id.reader)
        var isWhole = true
        while let chats = try await source.readers.nextChats(of: &sweep) {
            // The revisions first: what changes after this has a higher one, whatever state of it is sent below.
            let changed = try await changedChats(among: chats, generation.id)
            let cursors = try await source.readers.cursors(of: generation.id.reader, in: chats)
            let ends = try await source.messages.lastNumbers(of: chats)
            let behind = chats.filter { ends[$0, default: 0] > cursors[$0, default: 0] }
            let visited = behind + changed.map(\.chat)
            let tenants = visited.isEmpty ? [:] : try await source.generations.tenants(of: visited)
            for move in changed {
                guard let tenant = tenants[move.chat], load.changeMoves[move.chat] == nil else { continue }
                try await sendChanges(move, of: tenant, &load)
            }
            for chat in behind {
                guard let tenant = tenants[chat], load.moves[chat] == nil else { continue }
                var cursor = cursors[chat, default: 0]
                while true {
                    try Task.checkCancellation()
                    guard let entries = try await reader.entries(in: chat, after: cursor) else {
                        isWhole = false
                        break
                    }
                    guard let last = entries.last?.last.rawValue else { break }
                    load.add(entries, of: chat, in: tenant, after: cursor)
                    progress(last - cursor)
                    cursor = last
                    if load.bytes >= limits.requestBytes || load.documents.count >= limits.requestDocuments {
                        try await send(&load)
                    }
                    if load.isDue(at: time.now(), limits) { try await commit(&load) }
                }
            }
        }
        try await commit(&load)
        if isWhole { try await source.readers.finish(sweep) }
        return isWhole
    }

    /// The chats with changes that were not sent, and up to which revision they are to be sent now.
    private func changedChats(
        among chats: [Chat.ID], _ generation: SearchGeneration.ID
    ) async throws -> [LogMove] {
        let revisions = try await source.changes.revisions(of: chats)
        guard !revisions.isEmpty else { return [] }
        let cursors = try await source.readers.cursors(of: generation.changeReader, in: Array(revisions.keys))
        return revisions.compactMap { chat, revision in
            let cursor = cursors[chat, default: 0]
            return revision > cursor ? LogMove(chat, from: cursor, to: revision) : nil
        }
    }

    /// Sends the messages of a chat that have changed, as they are now: those that were deleted have no text any more.
    private func sendChanges(_ move: LogMove, of tenant: Tenant.ID, _ load: inout Load) async throws {
        var cursor = move.old
        while true {
            try Task.checkCancellation()
            let items = try await source.changes.changes(
                in: move.chat, after: cursor, upTo: move.new, limit: limits.changesAtOnce)
            let numbers = items.filter { $0.kind == .message }.map { Message.Number($0.number) }
            let messages = try await source.changes.messages(numbers, in: move.chat)
            // A reaction changes no document.
            load.add(messages.values.filter { $0.revision > move.old }, of: move.chat, in: tenant)
            if load.bytes >= limits.requestBytes || load.documents.count >= limits.requestDocuments {
                try await send(&load)
            }
            guard items.count == limits.changesAtOnce, let last = items.last else { break }
            cursor = last.revision
        }
        load.changeMoves[move.chat] = move
        if load.isDue(at: time.now(), limits) { try await commit(&load) }
    }

    /// Makes the index, if it may not be there yet.
    func prepared(_ generation: SearchGeneration) async throws -> SearchGeneration {
        guard generation.marker == 0 else { return generation }
        try await engine.create(generation.id)
        guard try await source.generations.confirm(1, of: generation.id) else { throw Stop.gone }
        var generation = generation
        generation.marker = 1
        return generation
    }

    /// What was read and does not count yet.
    private struct Load {
        let generation: SearchGeneration.ID
        let idleShare: Int
        var marker: SearchMarker
        /// Not sent yet.
        var documents: [SearchDocument] = []
        var bytes = 0
        /// Sent, and below no marker yet.
        var sent = 0
        var moves: [Chat.ID: LogMove] = [:]
        var changeMoves: [Chat.ID: LogMove] = [:]
        /// When the last marker was written.
        var since: Duration

        init(_ generation: SearchGeneration.ID, after marker: SearchMarker, at now: Duration, idleShare: Int) {
            self.generation = generation
            self.marker = marker
            self.since = now
            self.idleShare = idleShare
        }

        mutating func add(_ entries: [LogEntry], of chat: Chat.ID, in tenant: Tenant.ID, after cursor: Int64) {
            add(entries.compactMap(\.message), of: chat, in: tenant)
            guard let last = entries.last?.last.rawValue else { return }
            moves[chat, default: LogMove(chat, from: cursor, to: last)].new = last
        }

        mutating func add(_ messages: [Message], of chat: Chat.ID, in tenant: Tenant.ID) {
            for message in messages {
                let document = SearchDocument(message, of: chat, in: tenant)
                documents.append(document)
                bytes += document.folded.utf8.count + SearchWalk.row
            }
        }

        func isDue(at now: Duration, _ limits: EngineFeedLimits) -> Bool {
            sent + documents.count >= limits.markedDocuments || moves.count + changeMoves.count >= limits.markedChats
                || now - since >= limits.markedTime
        }
    }

    private func send(_ load: inout Load) async throws {
        guard !load.documents.isEmpty else { return }
        let began = time.now()
        try await put(load.documents, into: load.generation)
        load.sent += load.documents.count
        metrics.documents.increment(by: load.documents.count)
        load.documents = []
        load.bytes = 0
        if load.idleShare > 0 { try await time.sleep(time.now() + (time.now() - began) * load.idleShare) }
    }

    private func commit(_ load: inout Load) async throws {
        try await send(&load)
        if load.sent > 0 {
            guard let next = try await engine.mark(load.generation, after: load.marker) else { throw Stop.contended }
            load.marker = next
            guard try await source.generations.confirm(next.number, of: load.generation) else { throw Stop.gone }
        }
        if !load.moves.isEmpty {
            try await source.readers.advance(load.generation.reader, Array(load.moves.values))
        }
        if !load.changeMoves.isEmpty {
            try await source.readers.advance(load.generation.changeReader, Array(load.changeMoves.values))
        }
        load.sent = 0
        load.moves = [:]
        load.changeMoves = [:]
        load.since = time.now()
    }

    /// Stores documents; those for which the engine has no capacity, and only those, again after a pause.
    private func put(_ documents: [SearchDocument], into generation: SearchGeneration.ID) async throws {
        var left = documents
        var backoff = Backoff(first: limits.firstPause, longest: limits.longestPause)
        for attempt in 1... {
            do {
                let outcomes = try await engine.put(left, into: generation)
                var busy: [SearchDocument] = []
                for (document, outcome) in zip(left, outcomes) {
                    switch outcome {
                    case .stored: break
                    case .busy: busy.append(document)
                    case .refused(let reason):
                        metrics.refused.increment()
                        throw Stop.refused(reason)
                    case .missing: throw SearchEngineFailure.missing
                    }
                }
                // An answer with fewer outcomes says nothing about the rest.
                left = busy + left.dropFirst(outcomes.count)
                if left.isEmpty { return }
                guard attempt < limits.attempts else {
                    throw SearchEngineFailure.unavailable("It has no capacity for \(left.count) documents.")
                }
            } catch let failure as SearchEngineFailure {
                guard failure.mayPass, attempt < limits.attempts else { throw failure }
            }
            metrics.retries.increment()
            try await time.sleep(time.now() + backoff.pause())
        }
    }
}

/// The bounds of the feed.
package struct EngineFeedLimits: Sendable {
    /// How often changed chats are looked at.
    package var pause = Duration.seconds(1)
    /// Of one request.
    package var requestBytes = 1 << 20
    package var requestDocuments = 2000
    /// Changed messages that are read at once.
    package var changesAtOnce = 256
    /// What is sent before a marker.
    package var markedDocuments = 20_000
    package var markedChats = 2048
    package var markedTime = Duration.seconds(1)
    /// Of a request that the engine has no capacity for, and the pauses between them.
    package var attempts = 8
    package var firstPause = Duration.milliseconds(100)
    package var longestPause = Duration.seconds(5)
    /// The longest pause after a failed pass.
    package var retryPause = Duration.seconds(30)
    /// How long to rest after each request of an index that is being built, in times of what it took.
    package var idleShare = 1
    /// The pause between two generations, at first and at most.
    package var firstRebuild = Duration.seconds(5)
    package var longestRebuild = Duration.seconds(600)

    package init() {}
}
