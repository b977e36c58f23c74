import Synchronization

/// The highest number that this process knows the database to hold, of the owners used last.
///
/// Stored numbers never go away, so a known number stays true; it may be behind, because other processes append too. It
/// saves a query before each batch; where it matters, the database is asked again.
///
/// Two generations stand in for an LRU list: a used entry moves to the young one; when that is full, the old one is
/// dropped.
final class KnownNumbers: Sendable {
    private struct Generations {
        var young: [Int64: Int64] = [:]
        var old: [Int64: Int64] = [:]
        var epoch: UInt64 = 0

        subscript(owner: Int64) -> Int64 { young[owner] ?? old[owner] ?? 0 }
    }

    private let generations = Mutex(Generations())
    private let capacity: Int

    /// - Parameter capacity: owners, at about 50 bytes each.
    init(capacity: Int = 65_536) { self.capacity = capacity }

    /// 0 if none is known.
    subscript(owner: Int64) -> Int64 { generations.withLock { $0[owner] } }

    /// Numbers that the database holds.
    func see(_ places: some Sequence<OwnedNumber>) {
        generations.withLock { generations in
            for place in places where place.number <= NumberedTable.lastNumber {
                let highest = max(generations[place.owner], place.number)
                if generations.young.count >= capacity / 2, generations.young[place.owner] == nil {
                    generations.old = generations.young
                    generations.young = [:]
                }
                generations.young[place.owner] = highest
            }
        }
    }

    /// Forgets everything if the epoch has changed: the new server has other rows.
    ///
    /// - Returns: whether it has changed.
    func follow(_ epoch: UInt64) -> Bool {
        generations.withLock { generations in
            guard generations.epoch != epoch else { return false }
            generations = Generations(epoch: epoch)
            return true
        }
    }
}
