import Synchronization

/// A small, bounded memory of facts that never change, such as the id behind a token.
///
/// Two generations stand in for an LRU list: what is used moves to the young one; when that is full the old one is
/// dropped. So it holds the `capacity / 2` entries used last and at most `capacity`, and every call is O(1).
final class ImmutableCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Generations {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
    }

    private let generations = Mutex(Generations())
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    subscript(key: Key) -> Value? {
        get {
            generations.withLock { generations in
                if let value = generations.young[key] { return value }
                guard let value = generations.old[key] else { return nil }
                insert(value, for: key, into: &generations)
                return value
            }
        }
        set {
            guard let newValue else { return }
            generations.withLock { insert(newValue, for: key, into: &$0) }
        }
    }

    private func insert(_ value: Value, for key: Key, into generations: inout Generations) {
        if generations.young.count >= capacity / 2 {
            generations.old = generations.young
            generations.young = [:]
        }
        generations.young[key] = value
    }
}
