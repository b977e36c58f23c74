import Synchronization

/// A key that was looked up, and when its last use was noted.
final class KnownKey<Key: Sendable>: Sendable {
    let key: Key
    /// In microseconds since 1970.
    private let notedUse: Atomic<Int64>

    init(_ key: Key, lastUsedAt: Timestamp?) {
        self.key = key
        self.notedUse = Atomic(lastUsedAt?.microseconds ?? 0)
    }

    /// - Returns: whether this use is to be noted: the last noted one is a while ago.
    func use(at now: Timestamp) -> Bool {
        let noted = notedUse.load(ordering: .relaxed)
        guard now >= Timestamp(microseconds: noted).adding(ApplicationKey.usePrecision) else { return false }
        return notedUse.compareExchange(expected: noted, desired: now.microseconds, ordering: .relaxed).exchanged
    }
}

/// The uses of keys that are not stored yet.
final class KeyUsage<ID: Hashable & Sendable>: Sendable {
    /// Keys at the same time; the uses of others are not noted.
    private let capacity = 16_384
    /// Keys in one change.
    private let batch = 256

    private let uses = Mutex<[ID: Timestamp]>([:])

    func note(_ id: ID, at now: Timestamp) {
        uses.withLock { uses in if uses.count < capacity || uses[id] != nil { uses[id] = now } }
    }

    /// Takes some of them; empty if there are none.
    func take() -> [ID: Timestamp] {
        uses.withLock { uses in
            var taken = uses
            if uses.count > batch {
                taken = [:]
                for (id, time) in uses.prefix(batch) { taken[id] = time }
            }
            for id in taken.keys { uses[id] = nil }
            return taken
        }
    }
}
