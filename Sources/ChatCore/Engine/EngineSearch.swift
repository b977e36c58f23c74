package import Logging
package import Metrics
import Scheduling
import Synchronization

/// Searches all chats of a tenant through the engine, or says that the store has to.
///
/// The engine gives candidates, newest first; their rows are read through the tenant and matched again. What the engine
/// does not have yet comes from the store, in the snapshot that also says which marker the index must have: so a message
/// whose create was answered is found, whatever the feed and the engine do.
package final class EngineSearch: Sendable {
    /// Why the store answered: the metric's label.
    enum Fallback: String, CaseIterable {
        /// The engine cannot search for this text.
        case text
        /// There is no live index, or it lacks too much.
        case behind
        /// The index is not the one that was fed, or holds what the rows do not say.
        case unbelieved
        /// The engine does not answer, or refuses.
        case failed
        /// It does not answer this search in time.
        case slow
        /// It failed a moment ago, or was too slow for this tenant.
        case resting
        /// The candidates did not match, until the time was up.
        case late
    }

    private let engine: any SearchEngine
    private let generations: any SearchGenerations
    private let limits: EngineSearchLimits
    private let threads: [ThreadExecutor]
    private let gate: ScanGate
    private let health: Mutex<EngineHealth>
    private let time: Timekeeper
    private let logger: Logger
    private let answers: Counter
    private let fallbacks: [Fallback: Counter]

    package init(
        _ engine: any SearchEngine, _ generations: any SearchGenerations,
        limits: EngineSearchLimits = EngineSearchLimits(), time: Timekeeper = .continuous, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) {
        self.engine = engine
        self.generations = generations
        self.limits = limits
        self.threads = (0..<limits.threads).map { _ in
            ThreadExecutor(name: "luciq-engine", for: .tasks, priority: .low)
        }
        // A search mostly waits for the engine, so a thread has several.
        let executors = (0..<limits.searchesAtOnce).map { [threads] in threads[$0 % threads.count] }
        self.gate = ScanGate(executors: executors, time: time)
        self.health = Mutex(EngineHealth(limits))
        self.time = time
        self.logger = logger
        self.answers = Counter(label: "luciq_search_engine_answers_total", factory: metrics)
        self.fallbacks = Dictionary(
            uniqueKeysWithValues: Fallback.allCases.map { reason in
                let dimensions = [("reason", reason.rawValue)]
                return (
                    reason,
                    Counter(label: "luciq_search_engine_fallbacks_total", dimensions: dimensions, factory: metrics)
                )
            })
    }

    deinit { for thread in threads { thread.stop() } }

    /// - Returns: the hits, and the highlights of each; nil if the store has to answer.
    /// - Throws: what `ScanGate.pass` throws; `ChatError.unavailable`; `CancellationError`.
    func search(
        _ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage, from client: IPAddress
    ) async throws -> (found: TenantHits, highlights: [[Range<Int>]])? {
        guard let needle = query.needle else { return fallBack(.text) }
        guard health.withLock({ $0.mayTry(tenant, at: time.now()) }) else { return fallBack(.resting) }
        return try await gate.pass(tenant, from: client) {
            do {
                switch try await find(query, needle, in: tenant, page: page) {
                case .success(let found):
                    let highlights = try SearchHighlights(query.text).ranges(ofHits: found.hits.map(\.message))
                    answers.increment()
                    return (found, highlights)
                case .failure(let reason): return fallBack(reason)
                }
            } catch let failure as SearchEngineFailure {
                note(failure, of: tenant)
                return fallBack(failure == .late ? .slow : .failed)
            } catch ChatError.searchTimedOut {
                return fallBack(.behind)
            }
        }
    }

    private func fallBack<Answer>(_ reason: Fallback) -> Answer? {
        fallbacks[reason]?.increment()
        return nil
    }

    private enum Found {
        case success(TenantHits)
        case failure(Fallback)
    }

    private func find(
        _ query: SearchQuery, _ needle: SearchNeedle, in tenant: Tenant.ID, page: TenantSearchPage
    ) async throws -> Found {
        let deadline = time.now() + limits.deadline
        // Before the engine is asked: what is fed meanwhile raises the marker, and is found twice.
        guard let unfed = try await generations.unfed(query, in: tenant, page: page, within: limits.unfed) else {
            return .failure(.behind)
        }
        var hits = EngineHits(query, page)
        hits.add(unfed.hits)
        var request = EngineCandidates.Request(
            tenant: tenant, needle: needle, after: query.after, before: query.before, place: page.before,
            limit: min(page.limit + limits.spare, limits.candidates))
        while true {
            let answer = try await engine.candidates(request, in: unfed.generation.id)
            guard let marker = answer.marker, marker >= unfed.generation.marker else { return .failure(.unbelieved) }
            health.withLock { $0.succeed(tenant) }
            for places in answer.places.chunks(of: limits.rowsAtOnce) {
                let rows = try await generations.hits(at: Array(places), in: tenant)
                guard hits.add(rows, of: places) else { return .failure(.unbelieved) }
                if hits.isFull { return .success(hits.page()) }
            }
            guard let last = answer.places.last, answer.places.count >= request.limit else {
                return .success(hits.page(isAtEnd: true))
            }
            guard time.now() < deadline else {
                let page = hits.page()
                return page.hits.isEmpty ? .failure(.late) : .success(page)
            }
            request.place = last
            request.limit = min(request.limit * 2, limits.candidates)
        }
    }

    private func note(_ failure: SearchEngineFailure, of tenant: Tenant.ID) {
        let isNew: Bool
        switch failure {
        // A new index is on its way, and the store says when it is there; an answer in part is no reason to rest.
        case .missing, .incomplete: return
        case .late: isNew = health.withLock { $0.beLate(tenant, at: time.now()) }
        case .unavailable, .refused: isNew = health.withLock { $0.fail(at: time.now()) }
        }
        if isNew {
            logger.warning("Search engine failed: the database answers", metadata: ["error": .string(failure.sentence)])
        }
    }
}

/// The bounds of searches through the engine.
package struct EngineSearchLimits: Sendable {
    /// For the search, from when on no further candidates are asked for.
    package var deadline = Duration.seconds(2)
    package var searchesAtOnce = 8
    /// Of low priority, for reading rows and looking at them.
    package var threads = 2
    /// Candidates that are asked for beside those that fill a page.
    package var spare = 16
    /// Candidates of one answer.
    package var candidates = 512
    /// Rows that are read at once.
    package var rowsAtOnce = 64
    package var unfed = UnfedLimits()
    /// How long a failed engine is not asked, at first and at most.
    package var firstRest = Duration.seconds(1)
    package var longestRest = Duration.seconds(30)
    /// Tenants in a row whose searches are late, from when on it rests for all.
    package var lateTenants = 3
    /// Tenants that rest by themselves.
    package var restingTenants = 1024

    package init() {}
}

/// Collects a page from two lists, each newest first: the hits that the engine does not have, and its candidates.
///
/// Both may end before the last hit. Then only what is newer than that end is known, and belongs to the page.
struct EngineHits {
    private let query: SearchQuery
    private let page: TenantSearchPage
    private var matcher: SearchMatcher
    private var hits: [SearchPlace: TenantHit] = [:]
    /// Of the engine's hits.
    private var matches = 0
    private var bytes = 0
    /// Older hits than this may be missing; nil if none are.
    private var floor: SearchPlace?
    /// The last candidate that was looked at.
    private var last: SearchPlace?

    init(_ query: SearchQuery, _ page: TenantSearchPage) {
        self.query = query
        self.page = page
        self.matcher = SearchMatcher(query.text)
    }

    /// Adds what the engine does not have.
    mutating func add(_ unfed: TenantHits) {
        for hit in unfed.hits { hits[hit.place] = hit }
        if unfed.hasMore { floor = unfed.hits.last?.place }
    }

    /// Adds candidates.
    ///
    /// - Parameters:
    ///   - rows: of these places; those that are missing are gone, or another tenant's.
    /// - Returns: false if the engine has another time of a message than its row.
    mutating func add(_ rows: [TenantHit], of places: ArraySlice<SearchPlace>) -> Bool {
        let known = Set(places)
        for row in rows {
            guard known.contains(row.place) else { return false }
            guard query.takes(row.message), page.before.map({ row.place < $0 }) ?? true else { continue }
            var body = row.message.body
            guard body.withUTF8({ matcher.matches(UnsafeRawBufferPointer($0)) }) else { continue }
            hits[row.place] = row
            matches += 1
            bytes += row.message.textsInJSON
        }
        last = places.last ?? last
        return true
    }

    /// Whether the candidates fill the page, and show that there are more.
    var isFull: Bool { matches > page.limit || matches > 1 && bytes > page.bytes }

    /// - Parameter isAtEnd: whether there are no more candidates.
    func page(isAtEnd: Bool = false) -> TenantHits {
        var floor = floor
        if !isAtEnd, let last { floor = max(floor ?? last, last) }
        let known = hits.values.filter { hit in floor.map { hit.place >= $0 } ?? true }
            .sorted { $0.place > $1.place }
        var (bytes, kept) = (0, 0)
        for hit in known.prefix(page.limit) {
            bytes += hit.message.textsInJSON
            if kept > 0, bytes > page.bytes { break }
            kept += 1
        }
        return TenantHits(hits: Array(known.prefix(kept)), hasMore: floor != nil || known.count > kept)
    }
}
