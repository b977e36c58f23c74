package import Logging
import ServiceLifecycle

/// Deletes applications whose time has come, in the background.
///
/// A deletion has two parts. First the rows go, a few in each transaction, the application's own last. A while later, when
/// nothing that was under way then can still write, whatever is left without an owner goes: rows that were written late,
/// keys in Redis, documents of the search engine. Only then is it forgotten, so that a process that is killed leaves
/// nothing behind. Any number of processes may run one; a transaction of one waits for that of another.
package struct Remover: Service {
    private let removals: any TenantRemovals
    private let generations: any SearchGenerations
    private let engine: (any SearchEngine)?
    private let limits: RemovalLimits
    private let time: Timekeeper
    private let clock: WallClock
    private let logger: Logger

    /// - Parameter engine: nil if this process knows none. Then another one finishes deletions while there is an index.
    package init(
        _ removals: any TenantRemovals, generations: any SearchGenerations, engine: (any SearchEngine)?,
        limits: RemovalLimits = RemovalLimits(), time: Timekeeper = .continuous, clock: WallClock = .system,
        logger: Logger
    ) {
        self.removals = removals
        self.generations = generations
        self.engine = engine
        self.limits = limits
        self.time = time
        self.clock = clock
        self.logger = logger
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var state = State()
            while !Task.isCancelled {
                let pause = await step(&state)
                try? await time.sleep(time.now() + pause)
            }
        }
    }

    /// What the loop remembers.
    struct State {
        /// When a deletion was first seen to be due.
        var due: (tenant: Tenant.ID, since: Duration)?
        var hasFailed = false
        var hasNoEngine = false
    }

    /// - Returns: the pause until the next one.
    func step(_ state: inout State) async -> Duration {
        let began = time.now()
        do {
            let hasWorked = try await work(&state)
            state.hasFailed = false
            // Others write in between.
            return hasWorked ? (time.now() - began) * limits.idleShare : limits.pause
        } catch is CancellationError {
            return .zero
        } catch {
            let text = (error as? SearchEngineFailure).map { .string($0.sentence) } ?? ChatError.forLog(error)
            if !state.hasFailed { logger.warning("Deletion of applications paused", metadata: ["error": text]) }
            state.hasFailed = true
            return limits.pause
        }
    }

    /// - Returns: whether there was something to do.
    private func work(_ state: inout State) async throws -> Bool {
        if try await removals.removeSome(limit: limits.rows, at: clock.now()) != nil { return true }
        if try await begin(&state) { return true }
        let ended = clock.now().adding(.zero - limits.settling)
        for removal in try await removals.removals() {
            guard let emptied = removal.emptiedAt, emptied <= ended else { continue }
            return try await finish(removal, &state)
        }
        return false
    }

    private func begin(_ state: inout State) async throws -> Bool {
        guard let due = try await removals.dueRemoval(at: clock.now()) else {
            state.due = nil
            return false
        }
        if state.due?.tenant != due.tenant { state.due = (due.tenant, time.now()) }
        // A clock that is wrong for a moment deletes nothing.
        guard let since = state.due?.since, time.now() - since >= min(due.delay, limits.patience) else { return false }
        state.due = nil
        guard try await removals.beginRemoval(of: due.tenant, at: clock.now()) else { return false }
        logger.notice("Deletion of an application begun", metadata: ["id": "\(due.tenant.rawValue)"])
        return true
    }

    private func finish(_ removal: Removal, _ state: inout State) async throws -> Bool {
        let indexes = try await generations.generations()
        guard indexes.isEmpty || engine != nil else {
            if !state.hasNoEngine {
                logger.warning(
                    "Deletion of an application waits for a process with ELASTICSEARCH_URL",
                    metadata: ["application": .string(removal.publicID)])
            }
            state.hasNoEngine = true
            return false
        }
        for index in indexes {
            while try await engine?.remove(removal.tenant, from: index.id) == true {
                try await rest(.milliseconds(100))
            }
        }
        let strays = StrayWalk(removals)
        try await strays.walk(deletes: true, rest: { try await rest($0 * limits.idleShare) }) { _ in }
        try await removals.finish(removal)
        logger.notice("Application deleted", metadata: ["application": .string(removal.publicID)])
        return true
    }

    private func rest(_ pause: Duration) async throws { try await time.sleep(time.now() + pause) }
}

/// The bounds of deletions.
package struct RemovalLimits: Sendable {
    /// How often to look for deletions that are due.
    package var pause = Duration.seconds(5)
    /// Rows of one transaction.
    package var rows = 1000
    /// How long to rest after each transaction, in times of what it took.
    package var idleShare = 4
    /// For how long a deletion must be due before it begins, if its delay is longer.
    package var patience = Duration.seconds(600)
    /// How long after an application's row is gone its last rows may still be written.
    package var settling = Duration.seconds(60)

    package init() {}
}
