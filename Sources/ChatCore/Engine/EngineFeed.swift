package import Logging
package import Metrics
import Scheduling
import ServiceLifecycle

/// Keeps the engine's index up to date, in the background: the live generation as messages come, a new one from the
/// beginning where there is none, or where the index that was there is not believed any more.
///
/// Any number of processes may run one. Neither creates nor searches wait for it.
package struct EngineFeed: Service {
    private let engine: any SearchEngine
    private let source: EngineSource
    private let feeder: EngineFeeder
    private let limits: EngineFeedLimits
    private let time: Timekeeper
    private let logger: Logger
    private let metrics: EngineFeedMetrics

    package init(
        _ engine: any SearchEngine, _ source: EngineSource, limits: EngineFeedLimits = EngineFeedLimits(),
        time: Timekeeper = .continuous, clock: WallClock = .system, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) {
        self.engine = engine
        self.source = source
        self.limits = limits
        self.time = time
        self.logger = logger
        self.metrics = EngineFeedMetrics(metrics)
        self.feeder = EngineFeeder(
            engine, source, limits: limits, time: time, clock: clock, metrics: self.metrics)
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await follow(.live) }
                group.addTask { await follow(.building) }
            }
        }
    }

    /// What one of the two loops remembers.
    private struct Memory {
        var failures: Backoff
        var hasLogged = false
        /// The end of the last pass that read everything.
        var fedAt: Duration
        var isPublished = false
        var rebuilds: Backoff
        /// No generation is begun before.
        var rebuildAt: Duration = .zero
    }

    private func follow(_ state: SearchGeneration.State) async {
        var memory = Memory(
            failures: Backoff(first: limits.pause, longest: limits.retryPause), fedAt: time.now(),
            rebuilds: Backoff(first: limits.firstRebuild, longest: limits.longestRebuild))
        while !Task.isCancelled {
            let pause = await step(state, &memory)
            try? await time.sleep(time.now() + pause)
        }
    }

    /// - Returns: the pause until the next one.
    private func step(_ state: SearchGeneration.State, _ memory: inout Memory) async -> Duration {
        let began = time.now()
        do {
            switch state {
            case .live: try await keep(&memory)
            case .building, .retired: try await build(&memory)
            }
            if memory.hasLogged { logger.info("Search engine fed again") }
            memory.hasLogged = false
            memory.failures.reset()
            // A pass that takes long leaves the store half of the time.
            return max(limits.pause, time.now() - began)
        } catch EngineFeeder.Stop.contended {
            return limits.pause * .random(in: 0.1...0.5)
        } catch EngineFeeder.Stop.gone {
            return limits.pause
        } catch is CancellationError {
            return .zero
        } catch {
            metrics.failures.increment()
            let failure = (error as? SearchEngineFailure)?.sentence ?? "\(error)"
            if !memory.hasLogged { logger.warning("Search engine not fed", metadata: ["error": .string(failure)]) }
            memory.hasLogged = true
            if state == .live { metrics.lag.set((time.now() - memory.fedAt).inSeconds) }
            return memory.failures.pause()
        }
    }

    /// Feeds the live generation, and deletes the retired one.
    private func keep(_ memory: inout Memory) async throws {
        let generations = try await source.generations.generations()
        let live = generations.first { $0.state == .live }
        if let live, !memory.isPublished || generations.contains(where: { $0.state == .retired }) {
            await publish(live)
            memory.isPublished = true
        }
        if let retired = generations.first(where: { $0.state == .retired }) {
            try await engine.drop(retired.id)
            try await source.generations.remove(retired.id)
        }
        guard let live, live.foldVersion == SearchFold.version else { return }
        if try await pass(live) { memory.fedAt = time.now() }
        metrics.lag.set((time.now() - memory.fedAt).inSeconds)
    }

    /// Builds a generation, if there is one to build or none at all.
    private func build(_ memory: inout Memory) async throws {
        let generations = try await source.generations.generations()
        let ours = generations.filter { $0.foldVersion == SearchFold.version }
        if let building = ours.first(where: { $0.state == .building }) {
            guard try await pass(building) else { return }
            guard try await source.generations.promote(building.id) else { return }
            await publish(building)
            logger.info("Search engine's index complete", metadata: ["generation": "\(building.id)"])
            return
        }
        if ours.contains(where: { $0.state == .live }) {
            // An index that has lasted for a while is no sign of a failure that comes back at once.
            if time.now() >= memory.rebuildAt + limits.longestRebuild { memory.rebuilds.reset() }
            return
        }
        guard time.now() >= memory.rebuildAt else { return }
        memory.rebuildAt = time.now() + memory.rebuilds.pause()
        if let older = generations.first(where: { $0.state == .building }) {
            _ = try await source.generations.retire(older.id)
            return
        }
        let generation = SearchGeneration(
            id: .random(), state: .building, foldVersion: SearchFold.version, marker: 0)
        if try await source.generations.begin(generation) {
            logger.info("Search engine's index begun", metadata: ["generation": "\(generation.id)"])
            try await build(&memory)
        }
    }

    /// Moves the alias, which nothing here needs: a failure is no reason to stop.
    private func publish(_ generation: SearchGeneration) async {
        do {
            try await engine.publish(generation.id)
        } catch {
            logger.warning("Search engine's alias not moved", metadata: ["error": .string(error.sentence)])
        }
    }

    /// - Returns: whether all chats were read to their end.
    private func pass(_ generation: SearchGeneration) async throws -> Bool {
        do {
            return try await feeder.pass(
                generation, idleShare: generation.state == .building ? limits.idleShare : 0)
        } catch EngineFeeder.Stop.lost(let reason) {
            return try await giveUp(generation, because: reason)
        } catch EngineFeeder.Stop.refused(let reason) {
            return try await giveUp(generation, because: "it refused a document: \(reason)")
        } catch SearchEngineFailure.missing {
            return try await giveUp(generation, because: "it is gone")
        }
    }

    private func giveUp(_ generation: SearchGeneration, because reason: String) async throws -> Bool {
        // If another one is still being deleted, the next step tries again.
        if try await source.generations.retire(generation.id) {
            logger.error(
                "Search engine's index given up",
                metadata: ["generation": "\(generation.id)", "reason": .string(reason)])
        }
        return false
    }
}

/// The metrics of the feed.
struct EngineFeedMetrics: Sendable {
    let documents: Counter
    let refused: Counter
    let retries: Counter
    let failures: Counter
    let lag: Meter

    init(_ factory: any MetricsFactory) {
        documents = Counter(label: "luciq_search_engine_documents_total", factory: factory)
        refused = Counter(label: "luciq_search_engine_refused_documents_total", factory: factory)
        retries = Counter(label: "luciq_search_engine_retries_total", factory: factory)
        failures = Counter(label: "luciq_search_engine_failed_passes_total", factory: factory)
        lag = Meter(label: "luciq_search_engine_lag_seconds", factory: factory)
    }
}

extension Duration {
    fileprivate var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
