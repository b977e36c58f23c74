import ChatCore
import Synchronization

/// Bounds how many long reads are running or waiting; past it they are refused.
final class ScanGate: Sendable {
    private let count = Mutex(0)
    private let bound: Int

    init(bound: Int) { self.bound = bound }

    /// - Throws: `ChatError.overloaded` past the bound.
    func pass<Result>(_ body: () async throws -> Result) async throws -> Result {
        let isFree = count.withLock { count in
            if count < bound { count += 1 } else { return false }
            return true
        }
        guard isFree else { throw ChatError.overloaded }
        defer { count.withLock { $0 -= 1 } }
        return try await body()
    }
}
