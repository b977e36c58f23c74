import Foundation
import Scheduling

/// How a reader of a stream comes back, without a socket: where to resume from, and when.
struct Resumption {
    /// What to do with an event.
    enum Step: Equatable {
        case pass(ChatEvent)
        /// The server has ended the stream, or says what cannot be understood.
        case fail(CallFailure)
    }

    /// What to do after a failure.
    enum Plan: Equatable {
        case connect(after: Duration)
        /// Nothing of what is held can be believed.
        case loadAnew(after: Duration)
    }

    /// The last cursor; nil until the server has sent the one at which the stream starts.
    private(set) var cursor: String?

    /// Whether an expired token is replaced.
    private let renewsTokens: Bool
    /// Whether the cursor was given by the server, so that refusing it means that the server was restored.
    private var isOurs: Bool
    private var backoff = Backoff(first: .seconds(1))

    /// - Parameter start: where to begin; nil for where the server begins.
    init(after start: String?, renewsTokens: Bool = false) {
        cursor = start
        isOurs = start == nil
        self.renewsTokens = renewsTokens
    }

    /// Begins anew, from the cursor of a page.
    mutating func load(at cursor: String) { (self.cursor, isOurs) = (cursor, true) }

    mutating func connected() {
        backoff.reset()
        isOurs = true
    }

    /// Takes the stream's start cursor. The newest message of a list would not do: in a cluster a lower number may
    /// still be stored.
    mutating func begin(at id: String) { if cursor == nil, !id.isEmpty { cursor = id } }

    mutating func receive(_ event: ServerSentEvent) -> Step {
        if event.type == "close" { return .fail(closing(event.data)) }
        guard let received = ChatEvent(event) else {
            let what = event.type == "message" ? "a message" : "a change"
            return .fail(CallFailure(sentence: "The server sent something that is not \(what).", outlook: .final))
        }
        if let id = received.cursor { cursor = id }
        return .pass(received)
    }

    private func closing(_ json: String) -> CallFailure {
        struct Closing: Decodable {
            var code: String?
            var reconnect: Bool?
        }
        // Whatever its data, it is the end.
        let closing = try? JSONDecoder().decode(Closing.self, from: Data(json.utf8))
        let code = closing?.code ?? "unknown"
        // A browser would come back with the old token; we have another one.
        let isRenewed = renewsTokens && code.hasPrefix("token_")
        if closing?.reconnect == false, !isRenewed {
            return CallFailure(
                sentence: "The server closed the stream for good (\(code)).", outlook: .final, code: closing?.code)
        }
        let sentence =
            switch code {
            case "slow_consumer": "The server closed the stream, because it was read too slowly."
            case "going_away": "The server is shutting down."
            default: "The server closed the stream (\(code))."
            }
        return CallFailure(sentence: sentence, outlook: .passing(), code: closing?.code)
    }

    /// - Parameters:
    ///   - retry: the stream's first pause, in milliseconds.
    ///   - chance: 0 to 1.
    /// - Throws: the failure, if a retry is useless.
    mutating func lost(_ failure: CallFailure, retry: Int?, chance: Double) throws(CallFailure) -> Plan {
        if let retry { backoff.first = min(.milliseconds(max(100, retry)), backoff.longest) }
        if failure.isOfOtherEpoch, isOurs { return .loadAnew(after: backoff.pause(asked: nil, chance: chance)) }
        guard case .passing(let asked) = failure.outlook else { throw failure }
        return .connect(after: backoff.pause(asked: asked, chance: chance))
    }
}
