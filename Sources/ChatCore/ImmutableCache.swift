import Synchronization

/// A small, bounded cache of facts that do not change, such as the id behind a token. A revoked fact is forgotten; a
/// new epoch clears the cache.
///
/// Two generations stand in for an LRU list: a used entry moves to the young one; when that is full, the old one is
/// dropped. So it holds the `capacity / 2` entries used last and at most `capacity`, and every call is O(1).
final class ImmutableCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// An insert passes the version from before the fact was looked up: it is ignored if a fact was forgotten since.
    struct Version: Equatable, Sendable {
        let epoch: UInt64
        var forgotten: UInt64 = 0
    }

    private struct Generations {
        var young: [Key: Value] = [:]
        var old: [Key: Value] = [:]
        var version = Version(epoch: 0)
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

    var version: Version {
        generations.withLock { generations in
            follow(&generations)
            return generations.version
        }
    }

    /// Keeps a fact, unless the version has changed.
    func insert(_ value: Value, for key: Key, at version: Version) {
        generations.withLock { generations in
            follow(&generations)
            if generations.version == version { insert(value, for: key, into: &generations) }
        }
    }

    /// Forgets a fact, also one that is being looked up and not inserted yet.
    func forget(_ key: Key) {
        generations.withLock { generations in
            generations.version.forgotten += 1
            generations.young[key] = nil
            generations.old[key] = nil
        }
    }

    /// Forgets all facts that meet the condition, and any that is being looked up. Costs a look at each.
    func forget(where condition: (Value) -> Bool) {
        generations.withLock { generations in
            generations.version.forgotten += 1
            generations.young = generations.young.filter { !condition($0.value) }
            generations.old = generations.old.filter { !condition($0.value) }
        }
    }

    func forgetAll() {
        generations.withLock { generations in
            var version = generations.version
            version.forgotten += 1
            generations = Generations(version: version)
        }
    }

    private func follow(_ generations: inout Generations) {
        let now = epoch()
        if now != generations.version.epoch { generations = Generations(version: Version(epoch: now)) }
    }

    private func insert(_ value: Value, for key: Key, into generations: inout Generations) {
        if generations.young.count >= capacity / 2 {
            generations.old = generations.young
            generations.young = [:]
        }
        generations.young[key] = value
    }
}
