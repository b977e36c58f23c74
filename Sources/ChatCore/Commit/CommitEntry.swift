/// A change that waits to be committed.
package protocol CommitEntry: Sendable {
    /// Entries of one lane are never in two batches at the same time, so that they stay in order. Nil: in any order.
    var lane: Int64? { get }
    /// The owner of the entry, if any. Shares take turns, and a share with much waiting leaves room for others. All
    /// entries of a lane belong to one share.
    var share: Int64? { get }
    /// The address that it comes from, if any. One with much waiting leaves room for others, however many shares its
    /// entries belong to.
    var client: IPAddress? { get }
    /// Its size for the bounds, in bytes.
    var bytes: Int { get }
    /// At most one entry with the same claim is waiting or being committed.
    var claim: CommitClaim? { get }
}

extension CommitEntry {
    package var client: IPAddress? { nil }
}

/// The idempotency key of a request that is being processed.
package struct CommitClaim: Hashable, Sendable {
    package let scope: Int64
    package let key: String

    package init(scope: Int64, key: String) {
        self.scope = scope
        self.key = key
    }
}

/// The bounds of a group commit.
package struct CommitLimits: Sendable {
    /// The most entries in a batch.
    package var batchEntries = 512
    /// The most bytes in a batch; one entry always fits.
    package var batchBytes = 4 << 20
    /// Batches written at the same time, in addition to one of held lanes.
    package var batchesInFlight = 1
    /// How many entries must wait before another batch starts beside a young one. Fewer entries are faster in a larger
    /// batch, so they wait until a batch in flight has ended.
    package var entriesBeside = 32
    /// How long a batch in flight is young. A slower batch is probably blocked, and others no longer wait for it.
    package var besideAfter = Duration.milliseconds(20)
    /// The most lanes that are remembered as held.
    package var heldLanes = 1024
    /// Entries that wait, without those in flight.
    package var pendingEntries = 8192
    /// Bytes that wait.
    package var pendingBytes = 16 << 20
    /// Entries and bytes that each share may always have waiting, unless the queue is full.
    package var shareEntries = 8
    package var shareBytes = 1 << 20
    /// How long a request waits for its outcome.
    package var deadline = Duration.seconds(10)
    /// Entries that one address may have waiting.
    var clientEntries: Int { max(shareEntries, pendingEntries - pendingEntries / 4) }

    package init() {}
}
