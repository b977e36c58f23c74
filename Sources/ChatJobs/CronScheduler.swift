package import ChatCore
package import Logging
package import RedisClient
import ServiceLifecycle

/// Enqueues jobs by their schedule. Any number of processes, and Ruby's sidekiq-cron, may run schedulers: each tick is
/// enqueued once.
///
/// The program has the definitions, and writes them to Redis where sidekiq-cron keeps its own, so that its web page shows,
/// disables, enables and enqueues them. A scheduler that starts overwrites whatever differs, except the status. While it
/// runs, Redis wins: an expression edited there holds until the next start, so that two versions of the program do not
/// fight during a deployment. Definitions lost to a FLUSHALL or to the `Sidekiq::Cron::Job.destroy_all!` of an initializer
/// are written again: enabled, unless they had been disabled.
///
/// After an outage, the last missed tick runs once.
package actor CronScheduler: Service {
    private struct Definition {
        let job: CronJob
        let options: JobOptions
        let expression: CronExpression
    }

    private let definitions: [Definition]
    private let redis: RedisClient
    private let format: SidekiqFormat
    private let interval: Duration
    private let clock: RedisClock
    /// Nil: detected from the keys in Redis.
    private let wantedCron: CronFormat?
    private let time: Timekeeper
    private let logger: Logger

    /// The state at the last poll.
    private var cron: CronFormat
    /// Statuses that Redis has apart from the hashes.
    private var noted: [String: Bool] = [:]
    /// The names of the jobs that were written at the start.
    private var defined: Set<String> = []
    /// The last tick of each job that is known to be done, and its expression.
    private var done: [String: (tick: Timestamp, expression: String)] = [:]
    /// Parsed expressions from Redis; nil for an invalid one.
    private var expressions: [String: (text: String, read: CronExpression?)] = [:]

    /// The same as in sidekiq-cron.
    private static let historySize = 10
    private static let ticksAreKept = Duration.seconds(24 * 3600)

    /// - Parameters:
    ///   - definitions: with different names.
    ///   - jobs: for their options; missing jobs have none.
    ///   - cron: nil to detect it from the keys at each poll.
    ///   - interval: between two polls, and so the most delay of a tick.
    ///   - clock: nil for Redis' clock.
    /// - Throws: for an invalid expression.
    package init(
        _ definitions: [CronJob],
        jobs: JobRegistry = JobRegistry([]),
        redis: RedisClient,
        format: SidekiqFormat = .v8,
        cron: CronFormat? = nil,
        interval: Duration = .seconds(10),
        clock: RedisClock? = nil,
        time: Timekeeper = .continuous,
        logger: Logger
    ) throws(CronExpression.Invalid) {
        precondition(Set(definitions.map(\.name)).count == definitions.count, "two cron jobs have one name")
        var read: [Definition] = []
        for job in definitions {
            read.append(
                Definition(
                    job: job, options: jobs.options(of: job.job) ?? JobOptions(),
                    expression: try CronExpression(job.expression)))
        }
        self.definitions = read
        self.redis = redis
        self.format = format
        self.interval = interval
        self.clock = clock ?? RedisClock(redis, logger: logger)
        self.wantedCron = cron
        self.cron = cron ?? (format == .v6 ? .v1 : .v2)
        self.time = time
        self.logger = logger
    }

    /// Runs until shutdown. Logs an outage of Redis once, and waits for its end.
    package func run() async throws { await cancelWhenGracefulShutdown { await self.keepPolling() } }

    private func keepPolling() async {
        var isFailing = false
        while !Task.isCancelled {
            do {
                try await poll()
                if isFailing { logger.info("Cron resumed") }
                isFailing = false
            } catch {
                if !isFailing { logger.warning("Cron paused", metadata: ["error": "\(error)"]) }
                isFailing = true
            }
            do { try await time.sleep(time.now() + interval) } catch { return }
        }
    }

    /// One poll: defines missing jobs, and enqueues due ones.
    ///
    /// - Returns: the names of the jobs that this one has enqueued.
    /// - Throws: the first `RedisError`; a job with broken keys does not block others.
    @discardableResult
    package func poll() async throws -> [String] {
        try await clock.measure()
        try await settleFormat()
        let replies = await redis.send(
            definitions.map { RedisCommand(["HMGET", keys($0).job] + CronEntry.fields) })
        var enqueued: [String] = []
        var failure: (any Error)?
        for (definition, reply) in zip(definitions, replies) {
            do {
                if try await look(at: definition, reply.get()) { enqueued.append(definition.job.name) }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return enqueued
    }

    private func keys(_ definition: Definition) -> CronKeys { CronKeys(definition.job.name, format: cron) }

    /// Detects the keys that Ruby uses, and removes our jobs from the other version's keys.
    private func settleFormat() async throws {
        if let wantedCron {
            cron = wantedCron
        } else {
            let sets = await redis.send([CronFormat.v1, .v2].map { RedisCommand("SMEMBERS", $0.set) })
            let members = try sets.map { try ($0.get().array ?? []).compactMap(\.string) }
            let found = CronFormat.detect(
                (members[0], members[1]), ours: definitions.map(\.job.name), sidekiq: format)
            if found != cron {
                cron = found
                defined = []
            }
        }
        let others = definitions.map { CronKeys($0.job.name, format: cron.other) }
        let replies = await redis.send(others.map { RedisCommand("HEXISTS", $0.job, "luciq_expression") })
        for (definition, (keys, reply)) in zip(definitions, zip(others, replies))
        where try reply.get().integer == 1 {
            _ = try await redis.eval(
                CronScripts.remove,
                keys: [cron.other.set, keys.job, keys.enqueued, keys.history, CronKeys.disabled],
                arguments: [definition.job.name])
        }
    }

    /// - Returns: whether this process has enqueued it.
    private func look(at definition: Definition, _ reply: RedisValue) async throws -> Bool {
        let name = definition.job.name
        var reply = reply
        if !defined.contains(name) {
            try await define(definition, overwriting: true)
            defined.insert(name)
            reply = try await redis.send(RedisCommand(["HMGET", keys(definition).job] + CronEntry.fields))
        }
        guard let entry = CronEntry(reply) else {
            try await define(definition, overwriting: false)
            logger.info("Cron job restored", metadata: ["name": "\(name)"])
            return false
        }
        try await note(entry, of: name)
        try await mendQueue(definition, entry)
        return try await enqueue(definition, entry)
    }

    /// Remembers the choice made on the page, in case the hash is deleted.
    private func note(_ entry: CronEntry, of name: String) async throws {
        guard noted[name] != entry.isEnabled else { return }
        _ = try await redis.send(RedisCommand(entry.isEnabled ? "SREM" : "SADD", CronKeys.disabled, name))
        noted[name] = entry.isEnabled
    }

    /// Moves a job to our queue if no worker serves its queue any more: Ruby's scheduler and the page enqueue it where
    /// its hash says.
    private func mendQueue(_ definition: Definition, _ entry: CronEntry) async throws {
        let queue = definition.job.queue
        guard !entry.queue.isSame(queue), !entry.message.isEmpty else { return }
        let workers = try await JobSets(redis: redis, format: format).processes().filter { $0.isOurs && !$0.isQuiet }
        guard !workers.contains(where: { $0.queues.contains(where: entry.queue.isSame) }) else { return }
        _ = try await redis.eval(
            CronScripts.setMessage, keys: [keys(definition).job], bytes: [entry.message, message(definition).bytes])
        logger.info(
            "Cron job moved to a queue that is served",
            metadata: ["name": "\(definition.job.name)", "from": "\(entry.queue)", "to": "\(queue)"])
    }

    /// The payload to enqueue, without an id.
    private func message(_ definition: Definition) -> JobPayload {
        var message = payload(definition)
        message.remove("jid")
        message.remove("created_at")
        return message
    }

    private func define(_ definition: Definition, overwriting: Bool) async throws {
        let (job, keys) = (definition.job, keys(definition))
        let tick = definition.expression.previous(atOrBefore: clock.now())
        let message = message(definition)
        let fields = [
            "name": job.name, "klass": job.job, "cron": definition.expression.text, "description": job.description,
            "args": "[]", "message": String(decoding: message.bytes, as: UTF8.self), "active_job": "false",
            "date_as_argument": "false", "symbolize_args": "false", "queue_name_prefix": "",
            "queue_name_delimiter": "",
            // From 1.11 on, `load_from_hash!` deletes only those of another source.
            "source": "dynamic",
        ].merging(cron == .v1 ? [:] : Self.fieldsOfVersion2) { $1 }
        _ = try await redis.eval(
            CronScripts.define, keys: [cron.set, keys.job, keys.enqueued, CronKeys.disabled],
            arguments: [
                job.name, overwriting ? "1" : "0", definition.expression.text, tick?.cronScore ?? "",
                tick?.cronTick ?? "",
            ] + fields.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
    }

    private static let fieldsOfVersion2 = [
        "namespace": "default", "active_job": "0", "date_as_argument": "0", "symbolize_args": "0",
    ]

    /// - Returns: whether this process has enqueued it.
    private func enqueue(_ definition: Definition, _ entry: CronEntry) async throws -> Bool {
        let (name, keys) = (definition.job.name, keys(definition))
        let now = clock.now()
        guard let tick = expression(of: name, entry.expression)?.previous(atOrBefore: now) else { return false }
        if let done = done[name], done.tick == tick, done.expression.isSame(entry.expression) { return false }
        // “Enqueue now” on the web page counts for the tick before it.
        let isWanted = entry.lastRun.map { $0 < tick || $0 > now } ?? true
        var payload = payload(definition)
        payload.set("enqueued_at", raw: format.timestamp(now))
        let history = "{\"jid\":\"\(payload.jid ?? "")\",\"enqueued\":\"\(now.cronTime)\"}"
        let queue = definition.job.queue
        let reply = try await redis.eval(
            CronScripts.tick,
            keys: [keys.job, keys.enqueued, keys.history, SidekiqKey.queues, SidekiqKey.queue(queue)],
            arguments: [
                entry.expression, tick.cronScore, tick.cronTick, tick.adding(.zero - Self.ticksAreKept).cronScore,
                isWanted ? "1" : "0", String(decoding: payload.bytes, as: UTF8.self), queue, now.cronTime, history,
                String(Self.historySize),
            ])
        if reply.integer == 3 { return false }
        done[name] = (tick, entry.expression)
        guard reply.integer == 1 else { return false }
        logger.debug("Cron job enqueued", metadata: ["name": "\(name)", "tick": "\(tick.cronTick)"])
        return true
    }

    private func payload(_ definition: Definition) -> JobPayload {
        JobPayload(
            job: definition.job.job, arguments: Array("[]".utf8), queue: definition.job.queue,
            options: definition.options, format: format, now: clock.now())
    }

    private func expression(of name: String, _ text: String) -> CronExpression? {
        if let known = expressions[name], known.text.isSame(text) { return known.read }
        var read: CronExpression?
        do throws(CronExpression.Invalid) {
            read = try CronExpression(text)
        } catch {
            logger.warning("Cron job skipped", metadata: ["name": "\(name)", "error": "\(error)"])
        }
        expressions[name] = (text, read)
        return read
    }
}
