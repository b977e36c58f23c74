import Logging

/// What the two syncs have in common: works off the marks in Redis, chunk by chunk.
struct MarkedSync: Sendable {
    /// Chunks that somebody else wrote at the same time, before the rest is left to the next run.
    private static let conflictsTolerated = 100
    /// Takes a run: what an earlier one left, then all there is, and some more where two runs work together.
    private static let takes = 8

    let context: JobContext
    let set: DirtySet
    let epoch: JobPosition.Name
    /// Marks what changed since the reconciler's position; returns whether it came to the end.
    let markChanged: @Sendable (Stint) async throws -> Bool
    /// Brings the stored counts of at most 256 up to their rows.
    let recount: @Sendable ([Int64]) async throws -> Unwritten

    func run(within time: Duration) async throws {
        let stint = Stint(time, in: context)
        try await MarkEpoch(set: set, row: JobPosition(epoch, context)).mend { try await markChanged(stint) }
        for _ in 0..<Self.takes {
            try await stint.step()
            guard let take = try await set.take() else { return }
            guard try await workOff(take, stint) else {
                context.logger.notice("Some counts are left to the next run", metadata: ["marks": "\(set.key)"])
                return try await set.putBack(take)
            }
            if take.isFresh { return }
        }
    }

    /// - Returns: false when some marks have to wait: for a lock, for others that write, for time.
    private func workOff(_ take: DirtySet.Take, _ stint: Stint) async throws -> Bool {
        var conflicts = 0
        var locked: Set<Int64> = []
        while try await stint.goesOn() {
            let marks = try await set.some()
            if marks.isEmpty { return true }
            let ids = marks.compactMap { Int64($0) }.filter { !locked.contains($0) }
            if ids.isEmpty, !locked.isEmpty { return false }
            let unwritten = try await recount(ids)
            try await stint.step()
            locked.formUnion(unwritten.locked)
            let right = marks.filter { mark in
                guard let id = Int64(mark) else { return true }
                return !locked.contains(id) && !unwritten.overtaken.contains(id)
            }
            // Not of this take any more: another run has worked it off.
            if !right.isEmpty, try await !set.release(right, of: take) { return true }
            if !unwritten.overtaken.isEmpty { conflicts += 1 }
            if conflicts > Self.conflictsTolerated { return false }
        }
        return false
    }
}
