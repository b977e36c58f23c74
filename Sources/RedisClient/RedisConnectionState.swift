import DequeModule
import NIOCore

/// The state machine of a connection, without a socket or a clock. `RedisConnection` acts on its decisions.
///
/// A request is *queued*, then *written*, then finished with one reply for each command. Replies come in the order of
/// the commands, so the oldest written request owns the next reply, and only its deadline matters: if it is late, all
/// later ones are.
struct RedisConnectionState<Waiter: Sendable>: Sendable {
    /// Limits of queued and written requests.
    struct Limits: Sendable {
        var commands: Int
        var bytes: Int
    }

    struct Request: Sendable {
        let waiter: Waiter
        let count: Int
        let deadline: NIODeadline
        /// The commands as RESP.
        let bytes: ByteBuffer
    }

    /// The result for a waiter.
    struct Outcome: Sendable {
        let waiter: Waiter
        let replies: [RedisReply]
    }

    /// What to do after a sweep.
    enum Sweep: Equatable {
        case late
        case again(at: NIODeadline)
        case idle
    }

    private struct Pending {
        let waiter: Waiter
        let count: Int
        let deadline: NIODeadline
        let size: Int
        var replies: [RedisReply] = []
    }

    private enum Phase {
        case open
        /// It accepts no requests, and closes when it is empty.
        case draining(reason: String)
        case closed(reason: String)
    }

    let limits: Limits
    private var phase = Phase.open
    /// Set when it was closed because Redis is unusable: late requests get that error too.
    private var unusable: RedisError?
    private var queued: [Request] = []
    private var written = Deque<Pending>()
    private var nextSweep: NIODeadline?
    /// Commands queued or written.
    private(set) var inFlight = 0
    private var inFlightBytes = 0

    init(limits: Limits) { self.limits = limits }

    /// Why no command is accepted; nil while they are.
    var closingReason: String? {
        switch phase {
        case .open: nil
        case .draining(let reason), .closed(let reason): reason
        }
    }

    /// Whether it drains, and has its last reply.
    var isDrained: Bool {
        if case .draining = phase { return inFlight == 0 }
        return false
    }

    /// Accepts a request.
    ///
    /// - Returns: whether the caller must call `write` now; otherwise a call is pending.
    /// - Throws: `.unavailable`; `.unusable` if it was closed with that.
    mutating func enqueue(_ request: Request) throws(RedisError) -> Bool {
        if let reason = closingReason { throw unusable ?? .unavailable(reason: reason) }
        guard inFlight + request.count <= limits.commands,
            inFlightBytes + request.bytes.readableBytes <= limits.bytes
        else { throw .unavailable(reason: "too many commands are in flight") }
        inFlight += request.count
        inFlightBytes += request.bytes.readableBytes
        queued.append(request)
        return queued.count == 1
    }

    /// Marks all queued requests as written, and returns them. Empty after the close.
    mutating func write() -> [ByteBuffer] {
        for request in queued {
            var pending = Pending(
                waiter: request.waiter, count: request.count, deadline: request.deadline,
                size: request.bytes.readableBytes)
            pending.replies.reserveCapacity(request.count)
            written.append(pending)
        }
        defer { queued.removeAll(keepingCapacity: true) }
        return queued.map(\.bytes)
    }

    /// Assigns replies to their requests.
    ///
    /// - Returns: the completed requests, and the first reply without a request, which violates the protocol.
    mutating func receive(_ replies: [RedisReply]) -> (finished: [Outcome], unasked: RedisReply?) {
        var finished: [Outcome] = []
        for reply in replies {
            guard !written.isEmpty else { return (finished, reply) }
            written[0].replies.append(reply)
            inFlight -= 1
            if case .failure(let error) = reply, error.prefix == "READONLY", case .open = phase {
                phase = .draining(reason: "the server has become a replica")
            }
            if written[0].replies.count == written[0].count {
                let pending = written.removeFirst()
                inFlightBytes -= pending.size
                finished.append(Outcome(waiter: pending.waiter, replies: pending.replies))
            }
        }
        return (finished, nil)
    }

    /// When to schedule a `sweep`; nil if one is scheduled in time, or no reply is awaited.
    mutating func scheduleSweep() -> NIODeadline? {
        guard let deadline = written.first?.deadline else { return nil }
        if let nextSweep, nextSweep <= deadline { return nil }
        nextSweep = deadline
        return deadline
    }

    /// Checks whether the oldest request is past its deadline.
    mutating func sweep(now: NIODeadline) -> Sweep {
        nextSweep = nil
        guard let deadline = written.first?.deadline else { return .idle }
        if deadline <= now { return .late }
        nextSweep = deadline
        return .again(at: deadline)
    }

    /// Accepts no requests from now on.
    mutating func drain(reason: String) { if case .open = phase { phase = .draining(reason: reason) } }

    /// Closes it. Requests that were never written fail as `.unavailable`, written ones as `.outcomeUnknown`; received
    /// replies stay.
    ///
    /// - Parameter next: the error of the command whose reply was being read; of all commands, if it is `.unusable`.
    /// - Returns: all waiters; empty the second time.
    mutating func close(reason: String, next: RedisError? = nil) -> [Outcome] {
        if case .closed = phase { return [] }
        // The reason for the drain is more useful than "closed".
        phase = .closed(reason: closingReason ?? reason)
        var next = next
        if case .unusable = next { unusable = next }
        var outcomes = written.map { pending in
            var replies = pending.replies
            if let error = next { replies.append(.failure(error)) }
            next = nil
            while replies.count < pending.count {
                replies.append(.failure(unusable ?? .outcomeUnknown(reason: reason)))
            }
            return Outcome(waiter: pending.waiter, replies: replies)
        }
        outcomes += queued.map { request in
            Outcome(
                waiter: request.waiter,
                replies: Array(repeating: .failure(unusable ?? .unavailable(reason: reason)), count: request.count))
        }
        written.removeAll()
        queued.removeAll()
        (inFlight, inFlightBytes) = (0, 0)
        return outcomes
    }
}
