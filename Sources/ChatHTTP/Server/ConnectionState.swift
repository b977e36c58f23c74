import HTTPTypes
import NIOHTTPTypes

/// How long a connection may take, and what it may send.
package struct ConnectionLimits: Sendable {
    /// From the start, or from the end of an answer, until the head of the next request is complete.
    package var idle = Duration.seconds(90)
    /// From a request's head to the end of its body.
    package var body = Duration.seconds(30)
    /// How long a client that does not read its answer is waited for.
    package var write = Duration.seconds(30)

    package init() {}
}

/// One connection's decisions, without a socket or a clock (`ConnectionGuard` acts on them).
///
/// A client that sends nothing, or a byte a second, is closed when the head or the body is not there in time; so is
/// one that does not read. What comes after a malformed request is never read as a request.
struct ConnectionState {
    enum Phase: Equatable {
        case awaitingHead(since: Duration)
        case readingBody(since: Duration)
        case answering
        /// The connection has left HTTP.
        case switched
        /// Everything was said; what still arrives is thrown away until the client closes.
        case lingering(since: Duration)
    }

    /// After the last answer the socket stays open this long: closing it with unread input would reset the
    /// connection, and the client might never see the answer.
    static let linger = Duration.seconds(2)

    let limits: ConnectionLimits
    private(set) var phase: Phase
    /// Requests read and not answered yet; more than one with a pipelining client.
    private(set) var unanswered = 0
    private var blockedSince: Duration?
    private var endsWithAnswer = false
    /// Whether the answer is a stream.
    private(set) var isStreaming = false
    /// Whether the answer is a 101.
    private(set) var isSwitching = false
    private var quiescingSince: Duration?
    private var hasLastRequest = false
    private(set) var isBroken = false

    /// Whether there is no request in hand.
    var isIdle: Bool { if case .awaitingHead = phase { unanswered == 0 } else { false } }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    init(limits: ConnectionLimits, now: Duration) {
        self.limits = limits
        self.phase = .awaitingHead(since: now)
    }

    /// Whether the head to be written is that of the last answer: it must say so.
    var isLastAnswer: Bool { hasLastRequest && unanswered == 1 }

    /// - Parameters:
    ///   - isLast: for a head: the client wants no other request on this connection, or cannot be understood after it.
    /// - Returns: false when the part is to be dropped, for it comes after the last request.
    mutating func read(_ part: HTTPRequestPart, isLast: Bool = false, now: Duration) -> Bool {
        if hasLastRequest, phase == .answering { return false }
        switch part {
        case .head:
            hasLastRequest = isLast
            unanswered += 1
            phase = .readingBody(since: now)
        case .body: break
        // A request may be answered before its body is read to the end.
        case .end: phase = unanswered == 0 ? .awaitingHead(since: now) : .answering
        }
        return true
    }

    enum WriteAction: Equatable {
        case write
        /// Write it, then close the sending side and linger.
        case writeAndLinger
        /// Write it, then the answer for what could not be read, then close the sending side and linger.
        case writeAndRefuse
        /// The client was told that this is the end: nothing may follow.
        case drop
    }

    mutating func write(_ part: HTTPResponsePart, now: Duration) -> WriteAction {
        if case .lingering = phase { return .drop }
        switch part {
        case .head(let head):
            if head.headerFields[.connection] == "close" { endsWithAnswer = true }
            isStreaming = head.isEventStream
            isSwitching = head.status == .switchingProtocols
            return .write
        case .body:
            return .write
        case .end:
            unanswered -= 1
            isStreaming = false
            if endsWithAnswer || hasLastRequest && unanswered == 0 { return end(.writeAndLinger, now) }
            guard unanswered == 0 else { return .write }
            if isBroken { return end(.writeAndRefuse, now) }
            if phase == .answering { phase = .awaitingHead(since: now) }
            return .write
        }
    }

    enum BreakAction: Equatable {
        /// Answer for it now, then close the sending side and linger.
        case refuse
        /// The request in hand will find out and answer.
        case pass
        /// The request in hand was answered already: close the sending side and linger.
        case linger
        /// Other requests are answered first.
        case wait
    }

    /// What arrived is not HTTP, or too large to be read.
    mutating func breakOff(now: Duration) -> BreakAction {
        if case .lingering = phase { return .wait }
        let wasBroken = isBroken
        isBroken = true
        if case .readingBody = phase, unanswered > 0 { return .pass }
        guard unanswered == 0, !wasBroken else { return .wait }
        let wasReadingBody = if case .readingBody = phase { true } else { false }
        phase = .lingering(since: now)
        return wasReadingBody ? .linger : .refuse
    }

    /// The server goes away. Streams are told, and end; one that cannot be told is not waited for.
    mutating func quiesce(now: Duration) { quiescingSince = now }

    /// Whether the request in hand is the last one, and read to its end.
    var mayLeaveHTTP: Bool { phase == .answering && hasLastRequest && unanswered == 1 && !isBroken }

    /// Whether the request in hand may be answered by a stream, which has the connection to itself: whether it was read to
    /// its end. What the client has sent after it is of no interest.
    var mayStream: Bool {
        switch phase {
        case .readingBody: unanswered > 1
        case .answering: true
        case .awaitingHead, .switched, .lingering: false
        }
    }

    mutating func leaveHTTP() { phase = .switched }

    mutating func setWritable(_ isWritable: Bool, now: Duration) { blockedSince = isWritable ? nil : now }

    /// When the connection is to be closed if nothing changes.
    var deadline: Duration? {
        let phaseDeadline: Duration? =
            switch phase {
            case .awaitingHead(let since): since + limits.idle
            case .readingBody(let since): since + limits.body
            case .answering, .switched: nil
            case .lingering(let since): since + Self.linger
            }
        let streamDeadline = isStreaming ? quiescingSince.map { $0 + Self.linger } : nil
        return [phaseDeadline, blockedSince.map { $0 + limits.write }, streamDeadline].compactMap(\.self).min()
    }

    private mutating func end(_ action: WriteAction, _ now: Duration) -> WriteAction {
        phase = .lingering(since: now)
        return action
    }
}

extension HTTPResponse {
    /// Whether the answer is one that goes on until somebody ends it.
    var isEventStream: Bool { headerFields[.contentType] == "text/event-stream" }
}
