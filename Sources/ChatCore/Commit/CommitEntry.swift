/// Something that waits to be committed.
package protocol CommitEntry: Sendable {
    /// Entries of one lane are never in two batches at the same time, so that they stay in order. Nil: no order needed.
    var lane: Int64? { get }
    /// Whose it is: who has much waiting leaves room for others, and takes turns with them. Nil: nobody's. All of a lane
    /// are of one share.
    var share: Int64? { get }
    /// What it weighs against the bounds, in bytes.
    var bytes: Int { get }
    /// At most one entry with the same claim is waiting or being committed.
    var claim: CommitClaim? { get }
}

/// The idempotency key of a request in hand.
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
    /// Entries a batch.
    package var batchEntries = 512
    /// Bytes a batch; one entry always fits.
    package var batchBytes = 4 << 20
    /// Batches being written at the same time, beside one of held lanes.
    package var batchesInFlight = 1
    /// Entries that must wait before a batch is started beside young ones. Fewer are quicker off with company: they wait
    /// until one in flight has ended.
    package var entriesBeside = 32
    /// How long a batch in flight is young. One that takes longer waits for something, and nobody waits for it then.
    package var besideAfter = Duration.milliseconds(20)
    /// Lanes that are known to be held.
    package var heldLanes = 1024
    /// Entries that wait, those being written not counted.
    package var pendingEntries = 8192
    /// Bytes that wait.
    package var pendingBytes = 16 << 20
    /// Entries and bytes that each share may have waiting whenever there is room for them.
    package var shareEntries = 8
    package var shareBytes = 1 << 20
    /// How long a request waits for its outcome.
    package var deadline = Duration.seconds(10)

    package init() {}
}
