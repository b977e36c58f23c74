/// How long a connection may take, and what it may send.
package struct ConnectionLimits: Sendable {
    /// From the start, or the end of an answer, to the end of the next request's head.
    package var idle = Duration.seconds(90)
    /// From a request's head to the end of its body.
    package var body = Duration.seconds(30)
    /// How long a client may go without reading its answer.
    package var write = Duration.seconds(30)

    package init() {}
}

/// One connection's decisions, without a socket or a clock (`HTTPConnection` acts on them).
///
/// There is one request in hand at a time; what a client pipelines waits, unread, until that one is answered. A client that
/// sends nothing, or a byte a second, is closed when the head or the body is not there in time; so is one that does not
/// read. What comes after a malformed request is never read as a request.
struct ConnectionState {
    enum Phase: Equatable {
        case awaitingHead(since: Duration)
        /// The body of the request in hand is on its way, and waited for.
        case awaitingBody(since: Duration)
        /// The request in hand is to be answered.
        case answering
        /// It was answered; the rest of its body is thrown away.
        case discardingBody(since: Duration)
        /// The connection has left HTTP.
        case departed
        /// Everything was said; what still arrives is thrown away until the client closes.
        case lingering(since: Duration)
    }

    /// After the last answer the socket stays open this long: closing it with unread input would reset the connection, and
    /// the client might never see the answer.
    static let linger = Duration.seconds(2)

    let limits: ConnectionLimits
    private(set) var phase: Phase
    private var blockedSince: Duration?
    /// Whether the request in hand is the last one that is read.
    private var hasLastRequest = false
    /// The server shuts down: the next answer is the last.
    private var isQuiescing = false

    init(limits: ConnectionLimits, now: Duration) {
        self.limits = limits
        self.phase = .awaitingHead(since: now)
    }

    /// Whether there is no request in hand.
    var isIdle: Bool { if case .awaitingHead = phase { true } else { false } }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    var hasDeparted: Bool { phase == .departed }

    /// Whether an answer that is written now is the connection's last: it must say so.
    var isLastAnswer: Bool { hasLastRequest || isQuiescing }

    /// A head has come.
    ///
    /// - Parameters:
    ///   - isLast: the client wants no other request on this connection, or cannot be understood after it.
    ///   - awaitsBody: whether it is answered only when its body is there.
    mutating func begin(isLast: Bool, awaitsBody: Bool, now: Duration) {
        hasLastRequest = isLast
        phase = awaitsBody ? .awaitingBody(since: now) : .answering
    }

    /// The body that was waited for has come to its end.
    mutating func hasBody() { phase = .answering }

    enum Next: Equatable {
        /// The next request may come.
        case request
        /// Close the sending side and linger.
        case linger
    }

    /// The request in hand was answered.
    ///
    /// - Parameters:
    ///   - isLast: whether the client was told that this is the end.
    ///   - isWhole: whether its body has been read to the end.
    mutating func answered(isLast: Bool, isWhole: Bool, now: Duration) -> Next {
        if isLast || isLastAnswer {
            phase = .lingering(since: now)
            return .linger
        }
        phase = isWhole ? .awaitingHead(since: now) : .discardingBody(since: now)
        return .request
    }

    /// The rest of a body that was thrown away has come to its end.
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
        // A long last answer may take its time.
        if isLingering { return blockedDeadline }
        return phaseDeadline.map { min($0, blockedDeadline) } ?? blockedDeadline
    }
}
