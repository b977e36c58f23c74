package import ChatCore
package import RedisClient

/// The sets of jobs, the queues and the processes, for `luciq jobs`.
///
/// All methods throw `RedisError`. Each change of an entry happens once, despite concurrent changes.
package struct JobSets: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Failed, waiting for a retry.
        case retry
        case schedule
        /// Failed for good.
        case dead
    }

    package typealias Entry = JobEntry

    let redis: RedisClient
    let format: SidekiqFormat
    let clock: WallClock
    let dead: DeadLimits

    /// - Parameter clock: Redis' (`RedisClock`), for changes.
    package init(
        redis: RedisClient, format: SidekiqFormat = .v8, clock: WallClock = .system, dead: DeadLimits = DeadLimits()
    ) {
        self.redis = redis
        self.format = format
        self.clock = clock
        self.dead = dead
    }

    package func size(of kind: Kind) async throws -> Int {
        Int(try await redis.send(RedisCommand("ZCARD", kind.rawValue)).integer ?? 0)
    }

    /// The next due first; in the dead set the latest first.
    package func list(_ kind: Kind, from start: Int = 0, limit: Int = 50) async throws -> [Entry] {
        let range = ["ZRANGE", kind.rawValue, "\(start)", "\(start + max(limit, 1) - 1)", "WITHSCORES"]
        let reply = try await redis.send(RedisCommand(range + (kind == .dead ? ["REV"] : [])))
        return Self.entries(kind, reply.array ?? [])
    }

    /// Searches the whole set.
    ///
    /// - Parameter id: `JobEntry.id`.
    package func find(_ id: String, in kind: Kind) async throws -> Entry? {
        // Ids have no wildcards, so the id is a literal pattern. An id derived from the bytes does not occur in them.
        let pattern = id.hasPrefix("sha256-") ? "*" : "*" + id.filter(Self.isLiteral) + "*"
        var cursor = "0"
        repeat {
            let reply = try await redis.send(
                RedisCommand("ZSCAN", kind.rawValue, cursor, "MATCH", pattern, "COUNT", "1000"))
            guard let parts = reply.array, parts.count == 2 else { return nil }
            cursor = parts[0].string ?? "0"
            if let found = Self.entries(kind, parts[1].array ?? []).first(where: { $0.id.isSame(id) }) { return found }
        } while cursor != "0"
        return nil
    }

    private static func isLiteral(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber) || character == "-" || character == "_"
    }

    /// - Returns: false if it no longer existed.
    @discardableResult
    package func delete(_ entry: Entry) async throws -> Bool {
        try await redis.send(RedisCommand("ZREM", entry.kind.rawValue, bytes: [entry.bytes])).integer == 1
    }

    /// Puts it into its queue now; this does not count as a retry.
    ///
    /// - Returns: false if it was gone, or is not a job.
    @discardableResult
    package func requeue(_ entry: Entry) async throws -> Bool {
        guard var payload = entry.payload else { return false }
        if let count = payload.integer("retry_count") { payload.set("retry_count", raw: "\(max(count, 0) - 1)") }
        payload.remove("at")
        payload.set("enqueued_at", raw: format.timestamp(clock.now()))
        let queue = payload.queue ?? JobOptions().queue
        let reply = try await redis.eval(
            JobScripts.promote, keys: [entry.kind.rawValue, SidekiqKey.queue(queue), SidekiqKey.queues],
            bytes: [entry.bytes, payload.bytes, Array(queue.utf8)])
        return reply.integer == 1
    }

    /// Moves it to the dead set.
    ///
    /// - Returns: false if it no longer existed, or is dead.
    @discardableResult
    package func kill(_ entry: Entry) async throws -> Bool {
        guard entry.kind != .dead else { return false }
        let now = clock.now()
        let reply = try await redis.eval(
            JobScripts.kill, keys: [entry.kind.rawValue, SidekiqKey.dead],
            bytes: [entry.bytes, buried(entry, now), Array(String(now.seconds).utf8)] + dead.bounds(now: now))
        return reply.integer == 1
    }

    /// The payload, in a form that Sidekiq's page can show.
    private func buried(_ entry: Entry, _ now: Timestamp) -> [UInt8] {
        do throws(JobPayload.Malformed) {
            _ = try JobPayload(entry.bytes)
            return entry.bytes
        } catch {
            return DeadPayload.make(of: entry.bytes, error: error, queue: nil, format: format, now: now)
        }
    }

    package func clear(_ kind: Kind) async throws { _ = try await redis.send(RedisCommand("UNLINK", kind.rawValue)) }

    static func entries(_ kind: Kind, _ values: [RedisValue]) -> [Entry] {
        stride(from: 0, to: values.count - 1, by: 2).compactMap { index in
            guard case .text(let bytes) = values[index], let score = values[index + 1].string.flatMap(Double.init)
            else {
                return nil
            }
            return Entry(kind, at: Timestamp(seconds: score), bytes: bytes)
        }
    }
}
