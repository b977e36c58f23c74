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
        try await take([charges])[0]
    }

    /// The same for several requests, one after another, in one round trip.
    ///
    /// - Returns: for each what `take` returns.
    func take(_ requests: [[RateCharge<String>]]) async throws(RedisError) -> [RateDecision] {
        try await answers(to: requests).map(\.decision)
    }

    func answers(to requests: [[RateCharge<String>]]) async throws(RedisError) -> [Answer] {
        try Self.answers(try await run(requests, sign: 1), to: requests)
    }

    /// - Throws: `.unusable` if the reply is not one of the script: whoever answers for Redis, no number of theirs may lead
    ///   to an overflow.
    static func answers(_ reply: [Int64], to requests: [[RateCharge<String>]]) throws(RedisError) -> [Answer] {
        var held = reply.dropFirst()
        guard let now = reply.first, (0..<1 << 53).contains(now),
            held.count == requests.reduce(0, { $0 + $1.count })
        else { throw Self.foreign }
        var answers: [Answer] = []
        answers.reserveCapacity(requests.count)
        for charges in requests {
            let own = Array(held.prefix(charges.count))
            held = held.dropFirst(charges.count)
            guard zip(own, charges).allSatisfy({ (now...now + $1.limit.window).contains($0) }) else {
                throw Self.foreign
            }
            answers.append(Answer(decision: RateDecision(charges, held: own, now: now), now: now))
        }
        return answers
    }

    private static var foreign: RedisError { .unusable(reason: "it answers a script with something else") }

    /// Gives units back that were taken for nothing. A bucket never holds more than its burst.
    package func giveBack(_ charges: [RateCharge<String>]) async throws(RedisError) {
        _ = try await run([charges], sign: -1)
    }

    /// The same without waiting: before any `take` from here on. Lost if Redis has forgotten the script.
    ///
    /// - Parameter others: taken for them, or nothing is done.
    func postBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>] = []) {
        redis.post(Self.script, keys: keys([others + charges])) { call in
            call.append(Int64(others.count + charges.count))
            append(others, sign: 1, to: &call)
            append(charges, sign: -1, to: &call)
        }
    }

    private func keys(_ requests: [[RateCharge<String>]]) -> [String] {
        requests.flatMap { $0.map { prefix + $0.bucket.name + ":" + $0.bucket.owner } }
    }

    private func append(_ charges: [RateCharge<String>], sign: Int64, to call: inout RedisCommand) {
        for charge in charges {
            call.append(sign * charge.interval)
            call.append(charge.limit.window)
        }
    }

    /// - Returns: Redis' time, and for each charge when its bucket was to be full before.
    private func run(_ requests: [[RateCharge<String>]], sign: Int64) async throws(RedisError) -> [Int64] {
        let value = try await redis.eval(Self.script, keys: keys(requests)) { call in
            for charges in requests {
                call.append(Int64(charges.count))
                append(charges, sign: sign, to: &call)
            }
        }
        return value.array?.compactMap(\.integer) ?? []
    }

    /// `RateLimit.fullAt` and `RateBuckets.take` for one request after another: the number of its keys, and for each key
    /// its cost and its window in microseconds; a cost below 0 is given back. It reads and writes each bucket once.
    ///
    /// Redis' clock is the one that all processes share. Before Redis 5 a script that has asked for it may only write
    /// after `replicate_commands`. Numbers are doubles here, exact below 2^53, and written by `%.0f`, since `tostring`
    /// rounds to 14 digits.
    private static let script = RedisScript(
        """
        if redis.replicate_commands then redis.replicate_commands() end
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local answer, fulls, changed = {now}, {}, {}
        local function full_at(key, window)
            local held = fulls[key]
            if not held then
                held = redis.pcall('GET', key)
                held = type(held) == 'string' and tonumber(held) or now
            end
            -- Not by max: NaN, as somebody else may have written it, would stay.
            if not (held > now) then held = now end
            if held > now + window then
                held = now + window
                changed[key] = true
            end
            fulls[key] = held
            return held
        end
        local first, at = 0, 1
        while ARGV[at] do
            local count, isAllowed = tonumber(ARGV[at]), true
            for i = 1, count do
                local cost, window = tonumber(ARGV[at + 2 * i - 1]), tonumber(ARGV[at + 2 * i])
                local held = full_at(KEYS[first + i], window)
                answer[#answer + 1] = held
                if cost > 0 and held + cost > now + window then isAllowed = false end
            end
            if isAllowed then
                for i = 1, count do
                    local key = KEYS[first + i]
                    fulls[key] = fulls[key] + ARGV[at + 2 * i - 1]
                    changed[key] = true
                end
            end
            first = first + count
            at = at + 1 + 2 * count
        end
        for key in pairs(changed) do
            local full = fulls[key]
            if full > now then
                redis.call('SET', key, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
            else
                redis.call('DEL', key)
            end
        end
        return answer
        """)
}
