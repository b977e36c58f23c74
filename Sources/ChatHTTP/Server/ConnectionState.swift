/// The time-outs of a connection.
package struct ConnectionLimits: Sendable {
    /// From the start, or the end of an answer, to the end of the next request's head.
    package var idle = Duration.seconds(90)
    /// From a request's head to the end of its body.
    package var body = Duration.seconds(30)
    /// How long a client may go without reading its answer.
    package var write = Duration.seconds(30)

    package init() {}
}

/// The state machine of one connection, without a socket or a clock. `HTTPConnection` acts on its decisions.
///
/// It handles one request at a time; pipelined requests wait unparsed. A client whose head or body is not complete in
/// time is closed, however it trickles; so is a client that does not read. Bytes after a malformed request are never
/// parsed as a request.
struct ConnectionState {
    enum Phase: Equatable {
        case awaitingHead(since: Duration)
        /// The current request waits for its body.
        case awaitingBody(since: Duration)
        /// The current request is being answered.
        case answering
        /// The request was answered; the rest of its body is discarded.
        case discardingBody(since: Duration)
        /// The connection has left HTTP.
        case departed
        /// The last answer was written; input is dropped until the client closes.
        case lingering(since: Duration)
    }

    /// How long the socket stays open after the last answer: closing it with unread input would reset the connection,
    /// and the client might never see the answer.
    static let linger = Duration.seconds(2)

    let limits: ConnectionLimits
    private(set) var phase: Phase
    private var blockedSince: Duration?
    /// Whether no request is read after the current one.
    private var hasLastRequest = false
    /// The server shuts down: the next answer is the last.
    private(set) var isQuiescing = false

    init(limits: ConnectionLimits, now: Duration) {
        self.limits = limits
        self.phase = .awaitingHead(since: now)
    }

    /// Whether there is no unanswered request.
    var isIdle: Bool { if case .awaitingHead = phase { true } else { false } }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    var hasDeparted: Bool { phase == .departed }

    /// Whether an answer that is written now is the connection's last, and must say so.
    var isLastAnswer: Bool { hasLastRequest || isQuiescing }

    /// Takes a complete head.
    ///
    /// - Parameters:
    ///   - isLast: no request follows on this connection, or none that can be parsed.
    ///   - awaitsBody: whether the answer needs the body.
    mutating func begin(isLast: Bool, awaitsBody: Bool, now: Duration) {
        hasLastRequest = isLast
        phase = awaitsBody ? .awaitingBody(since: now) : .answering
    }

    /// The body is complete, or its rest is not needed: the current request can be answered.
    mutating func hasBody() { phase = .answering }

    enum Next: Equatable {
        /// Read the next request.
        case request
        /// Close the sending side and linger.
        case linger
    }

    /// The current request was answered.
    ///
    /// - Parameters:
    ///   - isLast: whether the answer said that no other follows.
    ///   - isWhole: whether its body has been read to the end.
    mutating func answered(isLast: Bool, isWhole: Bool, now: Duration) -> Next {
        if isLast || isLastAnswer {
            phase = .lingering(since: now)
            return .linger
        }
        phase = isWhole ? .awaitingHead(since: now) : .discardingBody(since: now)
        return .request
    }

    /// The discarded body has ended.
    mutating func hasDiscardedBody(now: Duration) { phase = .awaitingHead(since: now) }

    mutating func linger(now: Duration) { phase = .lingering(since: now) }

    mutating func depart() { phase = .departed }

    mutating func quiesce() { isQuiescing = true }

    mutating func setWritable(_ isWritable: Bool, now: Duration) {
        blockedSince = isWritable ? nil : now
        if isWritable, isLingering { phase = .lingering(since: now) }
    }

    /// When to close the connection if nothing changes.
    var deadline: Duration? {
        let phaseDeadline: Duration? =
            switch phase {
            case .awaitingHead(let since): since + limits.idle
            case .awaitingBody(let since), .discardingBody(let since): since + limits.body
            case .answering, .departed: nil
            case .lingering(let since): since + Self.linger
            }
        guard let blockedSince else { return phaseDeadline }
        let blockedDeadline = blockedSince + limits.write
        // A long last answer may take longer than `linger`, as long as the client reads.
        if isLingering { return blockedDeadline }
        return phaseDeadline.map { min($0, blockedDeadline) } ?? blockedDeadline
    }
}
