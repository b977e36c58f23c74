import RedisClient

/// Finds out whether marks may have been lost: Redis was wiped, or restored from an old snapshot, or a server was cut off
/// from it.
///
/// A random token, the *epoch*, is kept in Redis beside the marks and in the database, and changed at each run. Where the
/// two are equal, the marks there are all marks. An old snapshot has an old epoch and a wiped Redis has none; a server
/// that connects to Redis removes it, because what it could not mark before is unknown (`MySQLStore.init`).
struct MarkEpoch: Sendable {
    private static let replace = RedisScript(
        """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2])
        return 1
        """)

    let set: DirtySet
    let row: JobPosition

    private var key: String { RedisKey.epoch(set.key) }

    /// Marks again what has changed since the position, if marks may have been lost.
    ///
    /// - Parameter markChanged: returns whether it came to the end.
    func mend(_ markChanged: () async throws -> Bool) async throws {
        let stored = try await row.read(orStartAt: { 0 }).epoch
        if !stored.isEmpty, try await set.redis.send(RedisCommand("GET", key)).string == stored {
            return try await begin(after: stored)
        }
        // Only marks that were set while this stood there are known to be there at the end.
        let pending = "pending " + RandomToken.make()
        _ = try await set.redis.send(RedisCommand("SET", key, pending))
        guard try await markChanged() else { return }
        try await row.context.interruption()
        try await begin(after: pending)
    }

    /// A new epoch, unless something happened to the old one. In this order: a run that dies between the two costs a scan.
    private func begin(after old: String) async throws {
        let new = RandomToken.make()
        guard try await set.redis.eval(Self.replace, keys: [key], arguments: [old, new]).integer == 1 else { return }
        try await row.set(epoch: new)
    }
}
