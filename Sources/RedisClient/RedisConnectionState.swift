import DequeModule
import NIOCore

/// A connection's decisions, without a socket or a clock (`RedisConnection` acts on them).
///
/// A request is *queued*, then *written*, then finished with one reply a command. Replies come in the order of the
/// commands, so the oldest written request owns the next reply, and looking at its deadline is enough: when it is late,
/// so is all that follows.
struct RedisConnectionState<Waiter: Sendable>: Sendable {
    /// Bounds of what is queued and written.
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
        /// Takes nothing in any more, and closes when it is empty.
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

    /// Why no command is taken in; nil while they are.
    var closingReason: String? {
        switch phase {
        case .open: nil
        case .draining(let reason), .closed(let reason): reason
        }
    }

    /// It drains, and the last reply has come.
    var isDrained: Bool {
        if case .draining = phase { return inFlight == 0 }
        return false
    }

    /// Takes a request in.
    ///
    /// - Returns: whether the caller must call `write` now; otherwise a call is on its way.
    /// - Throws: `.unavailable`; `.unusable` when that is how it was closed.
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

    /// Everything queued is being written from now on. Empty once closed.
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

    /// Gives replies to those they belong to.
    ///
    /// - Returns: the requests that are complete by that, and the first reply that nobody has asked for: the other side
    ///   does not keep to the protocol.
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

    /// The moment of a `sweep` that has to be set up now; nil when one is coming in time, or nothing is awaited.
    mutating func scheduleSweep() -> NIODeadline? {
        guard let deadline = written.first?.deadline else { return nil }
        if let nextSweep, nextSweep <= deadline { return nil }
        nextSweep = deadline
        return deadline
    }

    /// Looks whether the oldest request is past its deadline.
    mutating func sweep(now: NIODeadline) -> Sweep {
        nextSweep = nil
        guard let deadline = written.first?.deadline else { return .idle }
        if deadline <= now { return .late }
        nextSweep = deadline
        return .again(at: deadline)
    }

    /// Takes nothing in from now on.
    mutating func drain(reason: String) { if case .open = phase { phase = .draining(reason: reason) } }

    /// Ends it. What was never written is `.unavailable`, what was written is `.outcomeUnknown`; the replies that came
    /// stay what they are.
    ///
    /// - Parameter next: what became of the command whose reply was being read; of all, if it is `.unusable`.
    /// - Returns: all waiters; none the second time.
    mutating func close(reason: String, next: RedisError? = nil) -> [Outcome] {
        if case .closed = phase { return [] }
        // Why it drained says more than that it is closed now.
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
