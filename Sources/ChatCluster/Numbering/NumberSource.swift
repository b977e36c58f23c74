import ChatCore
import RedisClient

/// Where numbers come from: a counter in Redis for each owner.
///
/// Redis may be wiped, behind, far ahead or away at any time, and somebody else may write to it. What it answers is a
/// proposal: it is taken only within `reach` of what the database is known to hold, and the database's unique index
/// decides.
struct NumberSource: Sendable {
    /// What one owner wants.
    struct Wish: Sendable {
        let owner: Int64
        let count: Int64
        /// A number that the database, or the batch, is known to hold: the wanted ones are above it.
        let floor: Int64
        /// What the counter held when it was refused, and `floor` is fresh: if it still holds that, it is put right.
        var refused: String?

        /// The last number that may be given.
        var ceiling: Int64 { min(floor + NumberSource.reach + count, NumberedTable.lastNumber) }

        /// Whether that is a counter which the numbers may be taken from.
        func accepts(_ held: String) -> Bool {
            guard let last = Int64(held) else { return false }
            // It may be 2^63−1: nothing is added to it.
            return last >= floor && last <= ceiling - count
        }
    }

    /// What Redis has to say to a wish.
    enum Answer {
        case last(Int64)
        /// The counter holds no number within bounds, and was left so; the empty text when it is not there. Ask the
        /// database for the highest number.
        case refused(String)
        /// Redis is away, or does not do its part.
        case none
    }

    /// How far beyond the highest known number a counter is believed: more than all processes have on their way.
    static let reach: Int64 = 4096

    /// A counter that is behind is raised, whoever else is raising it. One that is not there, is too far ahead or is no
    /// number is put right only when told so, and only while it still holds what it was refused for.
    ///
    /// Numbers are doubles here: texts of up to 15 digits are exact.
    private static let take = RedisScript(
        """
        local held = redis.pcall('GET', KEYS[1])
        if type(held) == 'table' then held = 'another type' end
        held = string.sub(held or '', 1, 32)
        local last = string.match(held, '^%d+$') and string.len(held) < 16 and tonumber(held)
        local isBehind = last and last < tonumber(ARGV[2])
        if isBehind or not last or last + tonumber(ARGV[1]) > tonumber(ARGV[3]) then
            if not isBehind and held ~= ARGV[4] then return held end
            redis.call('SET', KEYS[1], ARGV[2])
        end
        return redis.call('INCRBY', KEYS[1], ARGV[1])
        """)

    let redis: RedisClient
    let table: NumberedTable

    /// Takes numbers, in one round trip.
    func take(_ wishes: [Wish]) async -> [Answer] {
        let calls = wishes.map { wish in
            RedisClient.ScriptCall(
                key: table.numberKey(wish.owner),
                arguments: [String(wish.count), String(wish.floor), String(wish.ceiling)]
                    + [wish.refused].compactMap(\.self))
        }
        return zip(wishes, await redis.eval(Self.take, calls)).map { wish, reply in
            switch reply {
            case .success(.integer(let last)) where last >= wish.floor + wish.count && last <= wish.ceiling:
                .last(last)
            case .success(.text(let held)): .refused(String(decoding: held, as: UTF8.self))
            case .success, .failure: .none
            }
        }
    }

    /// Forgets the counters of some owners. Where Redis does not do it the numbers go on from what it has, within bounds.
    func forget(_ owners: [Int64]) async {
        for owner in owners { _ = try? await redis.send(RedisCommand("DEL", table.numberKey(owner))) }
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
