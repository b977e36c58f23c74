import MySQLClient
import RedisClient

/// Brings Redis' counters and copies of counts up to the database. Missing keys stay missing: readers fall back to the
/// database.
struct RedisCopies: Sendable {
    /// Never lowers a counter, because the numbers up to it may be taken.
    private static let raise = RedisScript(
        """
        local last = tonumber(redis.call('GET', KEYS[1]))
        if last and last < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
        return 0
        """)

    private static let replace = RedisScript(
        """
        if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
        return 0
        """)

    let redis: RedisClient

    /// The values of the keys, without missing keys.
    func values(of keys: [String]) async throws(RedisError) -> [String: String] {
        guard !keys.isEmpty else { return [:] }
        let values = try await redis.send(RedisCommand(["MGET"] + keys)).array ?? []
        var known: [String: String] = [:]
        for (key, value) in zip(keys, values) { known[key] = value.string }
        return known
    }

    /// Raises the number counters that are behind.
    ///
    /// - Parameter highest: each owner's highest stored number.
    func raiseNumbers(of table: NumberedTable, to highest: [Int64: Int64]) async throws(RedisError) {
        let keys = highest.filter { $0.value <= NumberedTable.lastNumber }
            .map { (key: table.numberKey($0.key), number: $0.value) }
        let values = try await values(of: keys.map(\.key))
        let behind = keys.filter { key in
            guard let value = values[key.key].flatMap({ Int64($0) }) else { return false }
            return value < key.number
        }
        try await eval(Self.raise, behind.map { .init(key: $0.key, arguments: [String($0.number)]) })
    }

    /// Replaces wrong counts, unless they have changed since they were read.
    ///
    /// - Parameter read: the values before the counting.
    func replaceCounts(_ counts: [Int64: Int64], read: [String: String]) async throws(RedisError) {
        let drifted = counts.compactMap { chat, count -> RedisClient.ScriptCall? in
            let key = RedisKey.messagesCount(of: chat)
            guard let value = read[key], value != String(count) else { return nil }
            return .init(key: key, arguments: [value, String(count)])
        }
        try await eval(Self.replace, drifted)
    }

    /// Replaces one key's value if it is still `old`.
    func replace(_ key: String, _ old: String, with new: String) async throws(RedisError) {
        try await eval(Self.replace, [.init(key: key, arguments: [old, new])])
    }

    private func eval(_ script: RedisScript, _ calls: [RedisClient.ScriptCall]) async throws(RedisError) {
        guard !calls.isEmpty else { return }
        for reply in await redis.eval(script, calls) { _ = try reply.get() }
    }
}
