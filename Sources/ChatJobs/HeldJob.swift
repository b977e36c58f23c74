import ChatCore

/// A job that this process has taken from its queue and that is not acknowledged yet.
struct HeldJob: Sendable {
    /// Of this process, never twice.
    let id: UInt64
    /// Which of the configuration's queues it came from.
    let queue: Int
    let payload: [UInt8]
    let since: Timestamp
}

/// A payload and the number of its queue, as the script returns them.
struct FetchedJob: Sendable, Equatable {
    let queue: Int
    let payload: [UInt8]
}
