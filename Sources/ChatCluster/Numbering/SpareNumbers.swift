import Synchronization

/// Numbers that this process took and certainly did not store, because another transaction held their owners' rows or the
/// database was down. The next batches of the owner use them; otherwise each try would leave a gap.
final class SpareNumbers: Sendable {
    /// The most owners, and numbers of each. Past it numbers are dropped, and stay gaps until a reader or the worker
    /// closes them.
    private static let capacity = 1024

    private let numbers = Mutex<[Int64: [Int64]]>([:])

    func keep(_ spare: [Int64], of owner: Int64) {
        guard !spare.isEmpty else { return }
        numbers.withLock { numbers in
            guard numbers.count < Self.capacity || numbers[owner] != nil else { return }
            numbers[owner] = Array((numbers[owner, default: []] + spare).sorted().prefix(Self.capacity))
        }
    }

    /// The owners that have spare numbers.
    func owners(among owners: some Sequence<Int64>) -> [Int64] {
        numbers.withLock { numbers in numbers.isEmpty ? [] : owners.filter { numbers[$0] != nil } }
    }

    /// Forgets all: the ids may mean other owners now.
    func forget() { numbers.withLock { $0 = [:] } }

    /// Takes an owner's lowest spare numbers.
    ///
    /// - Parameters:
    ///   - count: the most numbers to take.
    ///   - highest: the highest stored number; spare ones up to it are dropped.
    func take(_ count: Int64, of owner: Int64, above highest: Int64) -> [Int64] {
        numbers.withLock { numbers in
            guard let spare = numbers.removeValue(forKey: owner)?.filter({ $0 > highest }) else { return [] }
            let rest = spare.dropFirst(Int(clamping: count))
            if !rest.isEmpty { numbers[owner] = Array(rest) }
            return Array(spare.prefix(Int(clamping: count)))
        }
    }
}
