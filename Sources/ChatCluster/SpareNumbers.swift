import Synchronization

/// Numbers that this process took and certainly did not store, because another transaction held their owners' rows. The
/// next batch of the owner uses them; else each try would leave a hole.
final class SpareNumbers: Sendable {
    /// Owners; past it numbers are let go, and stay holes until somebody closes them.
    private static let capacity = 1024

    private let numbers = Mutex<[Int64: [Int64]]>([:])

    func keep(_ spare: [Int64], of owner: Int64) {
        guard !spare.isEmpty else { return }
        numbers.withLock { numbers in
            if numbers.count < Self.capacity || numbers[owner] != nil { numbers[owner, default: []] += spare }
        }
    }

    /// Hands out those of these owners.
    func take(of owners: some Sequence<Int64>) -> [Int64: [Int64]] {
        numbers.withLock { numbers in
            guard !numbers.isEmpty else { return [:] }
            return owners.reduce(into: [:]) { taken, owner in
                if let spare = numbers.removeValue(forKey: owner) { taken[owner] = spare }
            }
        }
    }
}
