import Synchronization

/// A key that was looked up, and when its last use was noted.
final class KnownKey: Sendable {
    let key: ApplicationKey
    /// In microseconds since 1970.
    private let notedUse: Atomic<Int64>

    init(_ key: ApplicationKey) {
        self.key = key
        self.notedUse = Atomic(key.lastUsedAt?.microseconds ?? 0)
    }

    /// - Returns: whether this use is to be noted: the last noted one is a while ago.
    func use(at now: Timestamp) -> Bool {
        let noted = notedUse.load(ordering: .relaxed)
        guard now >= Timestamp(microseconds: noted).adding(ApplicationKey.usePrecision) else { return false }
        return notedUse.compareExchange(expected: noted, desired: now.microseconds, ordering: .relaxed).exchanged
    }
}

/// The uses of keys that are not stored yet.
final class KeyUsage: Sendable {
    /// Keys at the same time; the uses of others are not noted.
    private static let capacity = 16_384
    /// Keys in one change.
    private static let batch = 256

    private let uses = Mutex<[AccessKey.ID: Timestamp]>([:])

    func note(_ id: AccessKey.ID, at now: Timestamp) {
        uses.withLock { uses in if uses.count < Self.capacity || uses[id] != nil { uses[id] = now } }
    }

    /// Takes some of them; empty if there are none.
    func take() -> [AccessKey.ID: Timestamp] {
        uses.withLock { uses in
            var taken = uses
            if uses.count > Self.batch {
                taken = [:]
                for (id, time) in uses.prefix(Self.batch) { taken[id] = time }
            }
            for id in taken.keys { uses[id] = nil }
            return taken
        }
    }
}
