import ChatCore
import RedisClient

/// Who is online, in Redis: a key for each user, `luciq:<deployment>:presence:<application>:<user>`, that ends by itself.
///
/// Redis is not trusted: whoever writes there may make users look online, for as long as a renewal lasts, and that opens nothing.
/// A key that does not end, or later than a renewal would, is none of ours.
struct RedisPresence: PresenceStore {
    /// In seconds, as `Presence.lasts`.
    private static let lasts = 60
    private static let keysAtOnce = 512

    private let redis: RedisClient
    private let prefix: String

    init(redis: RedisClient, deployment: String) {
        self.redis = redis
        self.prefix = "luciq:\(deployment):presence:"
    }

    func renew(_ users: [PresentUser]) async throws {
        _ = try await send(users) { RedisCommand("SET", key($0), "1", "EX", "\(Self.lasts)") }
    }

    func online(among users: [PresentUser]) async throws -> Set<PresentUser> {
        let lives = try await send(users) { RedisCommand("PTTL", key($0)) }
        let bound = Int64(Self.lasts) * 1000
        return Set(zip(users, lives).filter { (1...bound).contains($1.integer ?? 0) }.map { $0.0 })
    }

    func remove(_ user: PresentUser) async throws { _ = try await send([user]) { RedisCommand("DEL", key($0)) } }

    private func key(_ user: PresentUser) -> String { "\(prefix)\(user.tenant.rawValue):\(user.user.text)" }

    /// One command for each user, in pipelines.
    private func send(_ users: [PresentUser], _ command: (PresentUser) -> RedisCommand) async throws -> [RedisValue] {
        var answers: [RedisValue] = []
        answers.reserveCapacity(users.count)
        for some in users.chunks(of: Self.keysAtOnce) {
            do throws(RedisError) {
                for answer in await redis.send(some.map(command)) { answers.append(try answer.get()) }
            } catch {
                // The client logs what has failed.
                throw ChatError.unavailable(reason: "Who is online is not known, as Redis does not answer")
            }
        }
        return answers
    }
}
