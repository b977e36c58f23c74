import ChatCore

/// A job that this process has taken from its queue and that is not acknowledged yet.
struct HeldJob: Sendable {
    /// Unique within this process.
    let id: UInt64
    /// The index of its queue in the configuration.
    let queue: Int
    let payload: [UInt8]
    let since: Timestamp
}

/// A payload and the number of its queue, as the script returns them.
struct FetchedJob: Sendable, Equatable {
    let queue: Int
    let payload: [UInt8]
}
