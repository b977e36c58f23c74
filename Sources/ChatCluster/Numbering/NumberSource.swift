import ChatCore
import RedisClient

/// Where numbers come from: a counter in Redis for each owner.
///
/// Redis may be wiped, behind, far ahead or down at any time, and others may write to it. Its answer is a
/// proposal: it counts only within `reach` of the highest number known to be stored, and the database's unique index
/// decides.
struct NumberSource: Sendable {
    /// A request for numbers of one owner.
    struct Wish: Sendable {
        let owner: Int64
        let count: Int64
        /// A number that the database or the batch holds: the wanted ones are above it.
        let floor: Int64
        /// The refused value of the counter, and `floor` is fresh: if it still holds that value, correct it.
        var refused: String?

        /// The last number that may be given.
        var ceiling: Int64 { min(floor + NumberSource.reach + count, NumberedTable.lastNumber) }

        /// Whether the counter is within bounds.
        func accepts(_ held: String) -> Bool {
            guard let last = Int64(held) else { return false }
            // It may be 2^63−1: add nothing to it.
            return last >= floor && last <= ceiling - count
        }
    }

    /// Redis' answer to a request for numbers.
    enum Answer {
        case last(Int64)
        /// The counter's value is out of bounds (empty if it is missing), and unchanged. Ask the database for the
        /// highest number.
        case refused(String)
        /// Redis is down, or refuses the command.
        case none
    }

    /// How far above the highest known number a counter may be: more than all processes have in flight.
    static let reach: Int64 = 4096

    /// Raises a counter that is behind, whoever else raises it. Corrects one that is missing, too far ahead or not a
    /// number only on request, and only while it still holds the refused value.
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

    /// Deletes the counters of some owners. If Redis does not, numbers continue from them, within bounds.
    func forget(_ owners: [Int64]) async {
        for owner in owners { _ = try? await redis.send(RedisCommand("DEL", table.numberKey(owner))) }
    }

    /// Deletes every counter of the table.
    ///
    /// - Throws: `RedisError`.
    func forgetAll() async throws { try await redis.forget(like: table.numberKey(0)) }
}

extension RedisClient {
    /// Deletes the keys that differ from `key`, with the id 0, only in their id. Uses SCAN: for a new deployment, not
    /// for daily work.
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
