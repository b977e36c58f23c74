package import ChatCore
package import RedisClient

/// The buckets of all processes, in Redis: the same as `RateBuckets`, in one round trip. Redis drops a bucket when it is
/// full.
package struct RedisRateBuckets: Sendable {
    /// A decision, and Redis' time of it.
    struct Answer: Equatable {
        let decision: RateDecision
        let now: Int64
    }

    private let redis: RedisClient
    private let prefix: String

    /// - Parameter prefix: of all keys, the deployment's own. A key is this, the limit's name and the owner.
    package init(redis: RedisClient, prefix: String) {
        self.redis = redis
        self.prefix = prefix
    }

    /// Takes the units of all charges, or of none.
    ///
    /// - Parameter charges: of different buckets.
    /// - Throws: the errors of `RedisClient.send`. After `.outcomeUnknown` the units may be taken.
    package func take(_ charges: [RateCharge<String>]) async throws(RedisError) -> RateDecision {
        try await answer(charges).decision
    }

    func answer(_ charges: [RateCharge<String>]) async throws(RedisError) -> Answer {
        try Self.answer(try await run(charges, sign: 1), to: charges)
    }

    /// - Throws: `.unusable` if the reply is not one of the script: whoever answers for Redis, no number of theirs may lead
    ///   to an overflow.
    static func answer(_ reply: [Int64], to charges: [RateCharge<String>]) throws(RedisError) -> Answer {
        let held = reply.dropFirst()
        guard let now = reply.first, (0..<1 << 53).contains(now), held.count == charges.count,
            zip(held, charges).allSatisfy({ (now...now + $1.limit.window).contains($0) })
        else { throw .unusable(reason: "it answers a script with something else") }
        return Answer(decision: RateDecision(charges, held: Array(held), now: now), now: now)
    }

    /// Gives units back that were taken for nothing. A bucket never holds more than its burst.
    package func giveBack(_ charges: [RateCharge<String>]) async throws(RedisError) {
        _ = try await run(charges, sign: -1)
    }

    /// The same without waiting: before any `take` from here on. Lost if Redis has forgotten the script.
    ///
    /// - Parameter others: taken for them, or nothing is done.
    func postBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>] = []) {
        redis.post(Self.script, keys: keys(others + charges)) { call in
            append(others, sign: 1, to: &call)
            append(charges, sign: -1, to: &call)
        }
    }

    private func keys(_ charges: [RateCharge<String>]) -> [String] {
        charges.map { prefix + $0.bucket.name + ":" + $0.bucket.owner }
    }

    private func append(_ charges: [RateCharge<String>], sign: Int64, to call: inout RedisCommand) {
        for charge in charges {
            call.append(sign * charge.interval)
            call.append(charge.limit.window)
        }
    }

    /// - Returns: Redis' time, and for each charge when its bucket was to be full before.
    private func run(_ charges: [RateCharge<String>], sign: Int64) async throws(RedisError) -> [Int64] {
        let value = try await redis.eval(Self.script, keys: keys(charges)) { append(charges, sign: sign, to: &$0) }
        return value.array?.compactMap(\.integer) ?? []
    }

    /// `RateLimit.fullAt` and `RateBuckets.take`, for each key its cost and its window in microseconds; a cost below 0 is
    /// given back.
    ///
    /// Redis' clock is the one that all processes share. Before Redis 5 a script that has asked for it may only write
    /// after `replicate_commands`. Numbers are doubles here, exact below 2^53, and written by `%.0f`, since `tostring`
    /// rounds to 14 digits.
    private static let script = RedisScript(
        """
        if redis.replicate_commands then redis.replicate_commands() end
        local function put(key, full, now)
            redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
        end
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local answer, isAllowed = {now}, true
        for i, key in ipairs(KEYS) do
            local cost, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
            local held = redis.pcall('GET', key)
            held = type(held) == 'string' and tonumber(held) or now
            -- Not by max: NaN, as somebody else may have written it, would stay.
            if not (held > now) then held = now end
            if held > now + window then
                held = now + window
                put(key, held, now)
            end
            answer[i + 1] = held
            if cost > 0 and held + cost > now + window then isAllowed = false end
        end
        if isAllowed then
            for i, key in ipairs(KEYS) do
                local full = answer[i + 1] + ARGV[2 * i - 1]
                if full > now then put(key, full, now) else redis.call('DEL', key) end
            end
        end
        return answer
        """)
}
