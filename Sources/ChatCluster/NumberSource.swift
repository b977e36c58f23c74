import ChatCore
import RedisClient

/// Where numbers come from: a counter in Redis for each owner.
///
/// Redis may be wiped, behind or away at any time. What it answers is a proposal; the database's unique index decides.
struct NumberSource: Sendable {
    /// Never lowers the counter, whoever else is raising it at the same time.
    private static let raise = RedisScript(
        """
        local last = tonumber(redis.call('GET', KEYS[1]))
        if not last or last < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
        return redis.call('INCRBY', KEYS[1], ARGV[2])
        """)

    let redis: RedisClient
    let table: NumberedTable

    /// Takes numbers, in one round trip.
    ///
    /// - Returns: the last one for each, in order; nil where Redis gave none.
    func take(_ wanted: [(owner: Int64, count: Int64)]) async -> [Int64?] {
        let commands = wanted.map { RedisCommand("INCRBY", table.numberKey($0.owner), String($0.count)) }
        return await redis.send(commands).map { try? $0.get().integer }  // No answer is an answer: ask the database.
    }

    /// Takes numbers above `floor`.
    ///
    /// - Returns: the last one; nil where Redis gave none.
    func take(_ count: Int64, of owner: Int64, above floor: Int64) async -> Int64? {
        try? await redis.eval(  // No answer is an answer: ask the database.
            Self.raise, keys: [table.numberKey(owner)], arguments: [String(floor), String(count)]
        ).integer
    }

    /// Forgets every counter of the table's, with SCAN: a deployment's start, not its daily work.
    ///
    /// - Throws: `RedisError`.
    func forgetAll() async throws {
        let pattern = table.numberKey(0).replacing("0", with: "*")
        var cursor = "0"
        repeat {
            let answer = try await redis.send(RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", "1000"))
            let parts = answer.array ?? []
            cursor = parts.first?.string ?? "0"
            let keys = parts.last?.array?.compactMap(\.string) ?? []
            if !keys.isEmpty { _ = try await redis.send(RedisCommand(["UNLINK"] + keys)) }
        } while cursor != "0"
    }
}
