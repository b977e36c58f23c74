import RedisClient

/// A set of marks in Redis: ids of what changed.
///
/// A sync takes all marks there are by renaming the set, works them off, and removes each when the row is right. So one
/// that dies half-way leaves what it has not done, for the next. Two that work on the same take do no harm but the same
/// work twice; a mark that was set after their look is in the other set, or in a later take, which has another name
/// (its *generation*): from there a mark is not removed for what was counted before.
struct DirtySet: Sendable {
    struct Take: Sendable {
        let generation: String
        /// Whether the marks were taken by this call, and not by a run that left some.
        let isFresh: Bool
    }

    /// Marks a chunk.
    static let chunk = 256

    private static let take = RedisScript(
        """
        local fresh = 0
        if redis.call('EXISTS', KEYS[2]) == 0 then
            if redis.call('EXISTS', KEYS[1]) == 0 then return false end
            redis.call('RENAMENX', KEYS[1], KEYS[2])
            redis.call('SET', KEYS[3], ARGV[1])
            fresh = 1
        elseif redis.call('EXISTS', KEYS[3]) == 0 then
            redis.call('SET', KEYS[3], ARGV[1])
        end
        return {redis.call('GET', KEYS[3]), fresh}
        """)

    private static let release = RedisScript(
        """
        if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
        redis.call('SREM', KEYS[1], unpack(ARGV, 2))
        return 1
        """)

    private static let putBack = RedisScript(
        """
        if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
        redis.call('SUNIONSTORE', KEYS[1], KEYS[1], KEYS[2])
        return redis.call('DEL', KEYS[2])
        """)

    let key: String
    let redis: RedisClient

    private var taken: String { RedisKey.taken(key) }
    private var generation: String { RedisKey.generation(key) }

    /// - Returns: nil when there is no mark.
    func take() async throws(RedisError) -> Take? {
        let random = RandomToken.make()
        let reply = try await redis.eval(Self.take, keys: [key, taken, generation], arguments: [random])
        guard let parts = reply.array, parts.count == 2, let name = parts[0].string else { return nil }
        return Take(generation: name, isFresh: parts[1].integer == 1)
    }

    /// Some of the marks taken, by chance; none when all are worked off.
    func some() async throws(RedisError) -> [String] {
        try await redis.send(RedisCommand("SRANDMEMBER", taken, String(Self.chunk))).array?.compactMap(\.string) ?? []
    }

    /// Removes marks whose rows are right.
    ///
    /// - Returns: false when they are not of this take any more; then none is removed.
    func release(_ marks: [String], of take: Take) async throws(RedisError) -> Bool {
        try await redis.eval(
            Self.release, keys: [taken, generation], arguments: [take.generation] + marks
        ).integer == 1
    }

    /// Leaves what is left of a take to the next one, with all that was marked since.
    func putBack(_ take: Take) async throws(RedisError) {
        _ = try await redis.eval(
            Self.putBack, keys: [key, taken, generation], arguments: [take.generation])
    }

    func mark(_ ids: [Int64]) async throws(RedisError) {
        for some in ids.chunks(of: 1000) {
            _ = try await redis.send(RedisCommand(["SADD", key] + some.map(String.init)))
        }
    }
}

/// A name that nobody else has.
enum RandomToken {
    static func make() -> String { String(UInt64.random(in: 0...(.max)), radix: 36) }
}
