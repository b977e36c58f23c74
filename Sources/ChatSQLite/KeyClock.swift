import ChatCore
import GRDB
import Synchronization

/// The time by which idempotency keys age: it goes on from the newest key's and advances only while this process runs.
///
/// The system's clock may be wrong by years, for a moment or from the start, and there is no second clock to check it. The
/// time that a process has run is never wrong, so by this clock a key is never older than in truth. Downtime makes it
/// younger: keys are then recognised for longer than promised, which does no harm.
final class KeyClock: Sendable {
    private let time: Timekeeper
    /// Its time at the timekeeper's origin; nil before the first use.
    private let origin = Mutex<Timestamp?>(nil)

    init(_ time: Timekeeper = .continuous) { self.time = time }

    /// - Parameter wall: where it starts in a file without keys, so that a person can read what is stored.
    func now(_ db: Database, wall: Timestamp) throws -> Timestamp {
        let elapsed = time.now()
        let origin = try self.origin.withLock { origin in
            if let origin { return origin }
            let newest = try Query(
                db, "SELECT created_at FROM idempotency_keys WHERE created_at > 0 ORDER BY created_at DESC LIMIT 1")
            let start = try newest.next() ? Timestamp(microseconds: newest.integer(0)) : wall
            origin = start.adding(.zero - elapsed)
            return start.adding(.zero - elapsed)
        }
        return origin.adding(elapsed)
    }
}
