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
    /// Where the connection is, and how many requests are in hand: read and not answered yet. A client that pipelines has
    /// more than one.
    private enum Phase {
        /// None is in hand.
        case awaitingHead(since: Duration)
        /// The newest may have been answered already.
        case readingBody(since: Duration, unanswered: Int)
        /// All of them have come whole.
        case answering(unanswered: Int)
        /// The connection has left HTTP.
        case switched
        /// Everything was said; what still arrives is thrown away until the client closes.
        case lingering(since: Duration)
    }

    /// An answer whose head was written, and its end was not.
    private struct Answer {
        enum Kind {
            case plain
            /// It goes on until somebody ends it.
            case stream
            /// A 101.
            case switching
        }

        let kind: Kind
        /// Whether the client was told that none follows.
        let isLast: Bool
    }

    /// After the last answer the socket stays open this long: closing it with unread input would reset the
    /// connection, and the client might never see the answer.
    static let linger = Duration.seconds(2)

    let limits: ConnectionLimits
    private var phase: Phase
    private var answer: Answer?
    private var blockedSince: Duration?
    private var quiescingSince: Duration?
    private var hasLastRequest = false
    private(set) var isBroken = false

    /// Requests read and not answered yet.
    var unanswered: Int {
        switch phase {
        case .readingBody(_, let unanswered), .answering(let unanswered): unanswered
        case .awaitingHead, .switched, .lingering: 0
        }
    }

    /// Whether there is no request in hand.
    var isIdle: Bool { if case .awaitingHead = phase { true } else { false } }

    var isStreaming: Bool { answer?.kind == .stream }

    var isSwitching: Bool { answer?.kind == .switching }

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
        if hasLastRequest, case .answering = phase { return false }
        switch part {
        case .head:
            hasLastRequest = isLast
            phase = .readingBody(since: now, unanswered: unanswered + 1)
        case .body: break
        // A request may be answered before its body is read to the end.
        case .end: phase = unanswered == 0 ? .awaitingHead(since: now) : .answering(unanswered: unanswered)
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
        if isLingering { return .drop }
        switch part {
        case .head(let head):
            let kind: Answer.Kind =
                head.isEventStream ? .stream : head.status == .switchingProtocols ? .switching : .plain
            answer = Answer(kind: kind, isLast: head.headerFields[.connection] == "close")
            return .write
        case .body:
            return .write
        case .end:
            let isLast = answer?.isLast == true
            answer = nil
            switch phase {
            case .readingBody(let since, let count): phase = .readingBody(since: since, unanswered: count - 1)
            case .answering(let count) where count > 1: phase = .answering(unanswered: count - 1)
            case .answering: phase = .awaitingHead(since: now)
            case .awaitingHead, .switched, .lingering: break
            }
            if isLast || hasLastRequest && unanswered == 0 { return end(.writeAndLinger, now) }
            return isBroken && unanswered == 0 ? end(.writeAndRefuse, now) : .write
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
        if isLingering { return .wait }
        defer { isBroken = true }
        switch phase {
        case .readingBody(_, unanswered: 1...): return .pass
        case .readingBody where !isBroken:
            phase = .lingering(since: now)
            return .linger
        case .awaitingHead where !isBroken:
            phase = .lingering(since: now)
            return .refuse
        case .awaitingHead, .readingBody, .answering, .switched, .lingering: return .wait
        }
    }

    /// The server shuts down. Streams end with a last event; it does not wait for one that cannot write it.
    mutating func quiesce(now: Duration) { quiescingSince = now }

    /// Whether the request in hand is the last one, and read to its end.
    var mayLeaveHTTP: Bool {
        if case .answering(unanswered: 1) = phase { hasLastRequest && !isBroken } else { false }
    }

    /// Whether the request in hand may be answered by a stream, which has the connection to itself: whether it was read to
    /// its end. What the client has sent after it is of no interest.
    var mayStream: Bool {
        switch phase {
        case .readingBody(_, let unanswered): unanswered > 1
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
            case .readingBody(let since, _): since + limits.body
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
