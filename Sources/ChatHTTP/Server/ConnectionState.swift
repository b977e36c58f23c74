import HTTPTypes
import NIOHTTPTypes

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

/// The state machine of one connection, without a socket or a clock. `ConnectionGuard` acts on its decisions.
///
/// A client whose head or body is not complete in time is closed, however it trickles; so is a client that does not
/// read. Bytes after a malformed request are never parsed as a request.
struct ConnectionState {
    /// The connection's phase, and its unanswered requests. A client that pipelines has more than one.
    private enum Phase {
        /// There is no unanswered request.
        case awaitingHead(since: Duration)
        /// The newest request may have been answered already.
        case readingBody(since: Duration, unanswered: Int)
        /// All requests are complete.
        case answering(unanswered: Int)
        /// The connection has left HTTP.
        case switched
        /// The last answer was written; input is dropped until the client closes.
        case lingering(since: Duration)
    }

    /// An answer between its head and its end.
    private struct Answer {
        enum Kind {
            case plain
            /// It has no length, and lasts until the server or the client ends it.
            case stream
            /// A 101.
            case switching
        }

        let kind: Kind
        /// Whether its head says that no other answer follows.
        let isLast: Bool
    }

    /// How long the socket stays open after the last answer: closing it with unread input would reset the connection,
    /// and the client might never see the answer.
    static let linger = Duration.seconds(2)

    let limits: ConnectionLimits
    private var phase: Phase
    private var answer: Answer?
    private var blockedSince: Duration?
    private var quiescingSince: Duration?
    private var hasLastRequest = false
    private(set) var isBroken = false

    /// The number of unanswered requests, including one that is being read.
    var unanswered: Int {
        switch phase {
        case .readingBody(_, let unanswered), .answering(let unanswered): unanswered
        case .awaitingHead, .switched, .lingering: 0
        }
    }

    /// Whether there is no unanswered request.
    var isIdle: Bool { if case .awaitingHead = phase { true } else { false } }

    var isStreaming: Bool { answer?.kind == .stream }

    var isSwitching: Bool { answer?.kind == .switching }

    var isLingering: Bool { if case .lingering = phase { true } else { false } }

    init(limits: ConnectionLimits, now: Duration) {
        self.limits = limits
        self.phase = .awaitingHead(since: now)
    }

    /// Whether the next head belongs to the connection's last answer, and must say so.
    var isLastAnswer: Bool { hasLastRequest && unanswered == 1 }

    /// - Parameters:
    ///   - isLast: for a head: no request follows on this connection, or none that can be parsed.
    /// - Returns: false if the part follows the last request, and must be dropped.
    mutating func read(_ part: HTTPRequestPart, isLast: Bool = false, now: Duration) -> Bool {
        if hasLastRequest, case .answering = phase { return false }
        switch part {
        case .head:
            hasLastRequest = isLast
            phase = .readingBody(since: now, unanswered: unanswered + 1)
        case .body: break
        // A request may be answered before the end of its body.
        case .end: phase = unanswered == 0 ? .awaitingHead(since: now) : .answering(unanswered: unanswered)
        }
        return true
    }

    enum WriteAction: Equatable {
        case write
        /// Write it, then close the sending side and linger.
        case writeAndLinger
        /// Write it, then the answer to the malformed request, then close the sending side and linger.
        case writeAndRefuse
        /// Drop it: the last answer was written.
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
        /// Answer it now, then close the sending side and linger.
        case refuse
        /// Let the current request fail: its handler answers.
        case pass
        /// The current request was answered already: close the sending side and linger.
        case linger
        /// Answer the other requests first.
        case wait
    }

    /// The input is malformed, too large or refused.
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

    /// The server shuts down. Streams end with a last event; a client that does not read it is closed.
    mutating func quiesce(now: Duration) { quiescingSince = now }

    /// Whether the current request is complete and the last one.
    var mayLeaveHTTP: Bool {
        if case .answering(unanswered: 1) = phase { hasLastRequest && !isBroken } else { false }
    }

    /// Whether the current request is complete, so that a stream may answer it. The stream takes over the connection,
    /// and later input is dropped.
    var mayStream: Bool {
        switch phase {
        case .readingBody(_, let unanswered): unanswered > 1
        case .answering: true
        case .awaitingHead, .switched, .lingering: false
        }
    }

    mutating func leaveHTTP() { phase = .switched }

    mutating func setWritable(_ isWritable: Bool, now: Duration) { blockedSince = isWritable ? nil : now }

    /// When to close the connection if nothing changes.
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
    /// Whether the answer is a stream, which lasts until the server or the client ends it.
    var isEventStream: Bool { headerFields[.contentType] == "text/event-stream" }
}
