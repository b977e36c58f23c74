import Synchronization

/// A small, bounded memory of facts that do not change, such as the id behind a token, as long as the epoch does not: with
/// a new one everything is forgotten.
///
/// Two generations stand in for an LRU list: what is used moves to the young one; when that is full the old one is
/// dropped. So it holds the `capacity / 2` entries used last and at most `capacity`, and every call is O(1).
final class ImmutableCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Generations {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
        var epoch: UInt64 = 0
    }

    private let generations = Mutex(Generations())
    private let capacity: Int
    private let epoch: @Sendable () -> UInt64

    /// - Parameter epoch: never falls.
    init(capacity: Int, epoch: @escaping @Sendable () -> UInt64 = { 0 }) {
        self.capacity = capacity
        self.epoch = epoch
    }

    subscript(key: Key) -> Value? {
        generations.withLock { generations in
            follow(&generations)
            if let value = generations.young[key] { return value }
            guard let value = generations.old[key] else { return nil }
            insert(value, for: key, into: &generations)
            return value
        }
    }

    /// - Parameter learned: the epoch before the fact was asked for; in a later one it is not kept.
    func insert(_ value: Value, for key: Key, in learned: UInt64 = 0) {
        generations.withLock { generations in
            follow(&generations)
            if generations.epoch == learned { insert(value, for: key, into: &generations) }
        }
    }

    private func follow(_ generations: inout Generations) {
        let now = epoch()
        if now != generations.epoch { generations = Generations(epoch: now) }
    }

    private func insert(_ value: Value, for key: Key, into generations: inout Generations) {
        if generations.young.count >= capacity / 2 {
            generations.old = generations.young
            generations.young = [:]
        }
        generations.young[key] = value
    }
}
