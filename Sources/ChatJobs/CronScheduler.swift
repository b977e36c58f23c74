package import ChatCore
package import Logging
package import RedisClient
import ServiceLifecycle

/// Enqueues jobs by the clock. Any number of processes may run one, and Ruby's sidekiq-cron beside them: each tick is
/// enqueued once.
///
/// The definitions are in the program, and are written to Redis where sidekiq-cron keeps its own, so that its web page
/// shows them and can disable, enable and enqueue them. When a scheduler starts it overwrites what differs, except the
/// status. While it runs, Redis counts: an expression that somebody edited there holds until the next start, so that
/// two versions of the program do not fight during a deployment. What is lost, in a FLUSHALL, is written again.
///
/// A tick that nobody was there for runs once when somebody is; of several missed ones, only the last.
package actor CronScheduler: Service {
    private struct Definition {
        let job: CronJob
        let options: JobOptions
        let expression: CronExpression
        let keys: CronKeys
    }

    private let definitions: [Definition]
    private let redis: RedisClient
    private let format: SidekiqFormat
    private let interval: Duration
    private let clock: WallClock
    private let time: Timekeeper
    private let logger: Logger

    /// The names of the jobs that were written at the start.
    private var defined: Set<String> = []
    /// The last tick of each job that is known to be done, and the expression it is of.
    private var done: [String: (tick: Timestamp, expression: String)] = [:]
    /// Expressions from Redis: nil for one that cannot be read.
    private var expressions: [String: (text: String, read: CronExpression?)] = [:]

    /// As sidekiq-cron does it.
    private static let historySize = 10
    private static let ticksAreKept = Duration.seconds(24 * 3600)

    /// - Parameters:
    ///   - definitions: no two of one name.
    ///   - jobs: for their options; it may lack some, which then have none.
    ///   - interval: between two looks, so also how late a tick may be.
    /// - Throws: an expression that cannot be used.
    package init(
        _ definitions: [CronJob],
        jobs: JobRegistry = JobRegistry([]),
        redis: RedisClient,
        format: SidekiqFormat = .v8,
        interval: Duration = .seconds(10),
        clock: WallClock = .system,
        time: Timekeeper = .continuous,
        logger: Logger
    ) throws(CronExpression.Invalid) {
        precondition(Set(definitions.map(\.name)).count == definitions.count, "two cron jobs have one name")
        var read: [Definition] = []
        for job in definitions {
            read.append(
                Definition(
                    job: job, options: jobs.options(of: job.job) ?? JobOptions(),
                    expression: try CronExpression(job.expression), keys: CronKeys(job.name, format: format)))
        }
        self.definitions = read
        self.redis = redis
        self.format = format
        self.interval = interval
        self.clock = clock
        self.time = time
        self.logger = logger
    }

    /// Until shutdown. An outage of Redis is logged once, and waited for.
    package func run() async throws { await cancelWhenGracefulShutdown { await self.keepPolling() } }

    private func keepPolling() async {
        var isFailing = false
        while !Task.isCancelled {
            do {
                try await poll()
                isFailing = false
            } catch {
                if !isFailing { logger.warning("Cron jobs cannot be enqueued now", metadata: ["error": "\(error)"]) }
                isFailing = true
            }
            do { try await time.sleep(time.now() + interval) } catch { return }
        }
    }

    /// One look: defines what is missing and enqueues what is due.
    ///
    /// - Returns: the names of the jobs that this one has enqueued.
    /// - Throws: the first `RedisError`; other jobs do not suffer from one whose keys are in disorder.
    @discardableResult
    package func poll() async throws -> [String] {
        let replies = await redis.send(definitions.map { RedisCommand(["HMGET", $0.keys.job] + CronEntry.fields) })
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

    /// - Returns: whether it was enqueued, by us.
    private func look(at definition: Definition, _ reply: RedisValue) async throws -> Bool {
        let name = definition.job.name
        var reply = reply
        if !defined.contains(name) {
            try await define(definition, overwriting: true)
            defined.insert(name)
            reply = try await redis.send(RedisCommand(["HMGET", definition.keys.job] + CronEntry.fields))
        }
        guard let entry = CronEntry(reply) else {
            try await define(definition, overwriting: false)
            return false
        }
        return try await enqueue(definition, entry)
    }

    private func define(_ definition: Definition, overwriting: Bool) async throws {
        let (job, keys) = (definition.job, definition.keys)
        let tick = definition.expression.previous(atOrBefore: clock.now())
        var message = payload(definition)
        message.remove("jid")
        message.remove("created_at")
        let fields = [
            "name": job.name, "klass": job.job, "cron": definition.expression.text, "description": job.description,
            "args": "[]", "message": String(decoding: message.bytes, as: UTF8.self), "active_job": "false",
            "date_as_argument": "false", "symbolize_args": "false", "queue_name_prefix": "",
            "queue_name_delimiter": "",
        ].merging(format == .v6 ? [:] : Self.fieldsOfVersion2) { $1 }
        let reply = try await redis.eval(
            CronScripts.define, keys: [format.cronSet, keys.job, keys.enqueued, CronKeys.ours],
            arguments: [
                overwriting ? "1" : "0", definition.expression.text, tick?.cronScore ?? "",
                tick?.cronTick ?? "",
            ] + fields.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
        if reply.integer == 2 {
            logger.warning("A cron job was deleted in Redis; it is back, disabled", metadata: ["name": "\(job.name)"])
        }
    }

    private static let fieldsOfVersion2 = [
        "namespace": "default", "source": "dynamic", "active_job": "0", "date_as_argument": "0", "symbolize_args": "0",
    ]

    /// - Returns: whether it was enqueued, by us.
    private func enqueue(_ definition: Definition, _ entry: CronEntry) async throws -> Bool {
        let (name, keys) = (definition.job.name, definition.keys)
        let now = clock.now()
        guard let tick = expression(of: name, entry.expression)?.previous(atOrBefore: now) else { return false }
        if let done = done[name], done.tick == tick, done.expression == entry.expression { return false }
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
        logger.debug("Enqueued by the clock", metadata: ["name": "\(name)", "tick": "\(tick.cronTick)"])
        return true
    }

    private func payload(_ definition: Definition) -> JobPayload {
        JobPayload(
            job: definition.job.job, arguments: Array("[]".utf8), queue: definition.job.queue,
            options: definition.options, format: format, now: clock.now())
    }

    private func expression(of name: String, _ text: String) -> CronExpression? {
        if let known = expressions[name], known.text == text { return known.read }
        var read: CronExpression?
        do throws(CronExpression.Invalid) {
            read = try CronExpression(text)
        } catch {
            logger.warning("A cron job is left out", metadata: ["name": "\(name)", "error": "\(error)"])
        }
        expressions[name] = (text, read)
        return read
    }
}
