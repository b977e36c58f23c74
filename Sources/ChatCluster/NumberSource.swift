import ChatCore
import RedisClient

/// Where numbers come from: a counter in Redis for each owner.
///
/// Redis may be wiped, behind or away at any time. What it answers is a proposal; the database's unique index decides.
struct NumberSource: Sendable {
    /// What Redis has to say to a wish.
    enum Answer {
        case last(Int64)
        /// The counter is not there: the owner is new, or Redis lost it. Ask the database for the highest number.
        case unknown
        /// Redis is away, or what it holds is no number.
        case none
    }

    /// A counter that is not there is left so: it must not start below what the database holds.
    private static let take = RedisScript(
        """
        if redis.call('EXISTS', KEYS[1]) == 0 then return false end
        return redis.call('INCRBY', KEYS[1], ARGV[1])
        """)

    /// Never lowers the counter, whoever else is raising it at the same time.
    private static let takeAbove = RedisScript(
        """
        local last = tonumber(redis.call('GET', KEYS[1]))
        if not last or last < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[2]) end
        return redis.call('INCRBY', KEYS[1], ARGV[1])
        """)

    let redis: RedisClient
    let table: NumberedTable

    /// Takes numbers, in one round trip.
    func take(_ wanted: [(owner: Int64, count: Int64)]) async -> [Answer] {
        await eval(Self.take, wanted.map { ($0.owner, [String($0.count)]) })
    }

    /// Takes numbers above the database's highest ones, in one round trip.
    func take(_ wanted: [(owner: Int64, count: Int64)], above floors: [Int64: Int64]) async -> [Answer] {
        await eval(Self.takeAbove, wanted.map { ($0.owner, [String($0.count), String(floors[$0.owner] ?? 0)]) })
    }

    private func eval(_ script: RedisScript, _ calls: [(owner: Int64, arguments: [String])]) async -> [Answer] {
        let calls = calls.map { RedisClient.ScriptCall(key: table.numberKey($0.owner), arguments: $0.arguments) }
        return await redis.eval(script, calls).map { reply in
            switch reply {
            // The tables' numbers are 32 bits wide: a counter beyond them was not ours.
            case .success(.integer(let last)) where last <= Int64(Int32.max): .last(last)
            case .success(.null): .unknown
            case .success, .failure: .none
            }
        }
    }

    /// Forgets every counter of the table's.
    ///
    /// - Throws: `RedisError`.
    func forgetAll() async throws { try await redis.forget(like: table.numberKey(0)) }
}

extension RedisClient {
    /// Drops the keys that differ from `key` in their id only, which is 0 in it; with SCAN: a deployment's start, not its
    /// daily work.
    ///
    /// - Throws: `RedisError`.
    func forget(like key: String) async throws {
        let pattern = key.replacing("0", with: "*")
        var cursor = "0"
        repeat {
            let answer = try await send(RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", "1000"))
            let parts = answer.array ?? []
            cursor = parts.first?.string ?? "0"
            let keys = parts.last?.array?.compactMap(\.string) ?? []
            if !keys.isEmpty { _ = try await send(RedisCommand(["UNLINK"] + keys)) }
        } while cursor != "0"
    }
}
