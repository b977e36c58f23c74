import ChatCore
import Foundation
import Scheduling

/// The state machine of `luciq tail`, without a socket: decides which messages are new, and when to reconnect.
struct Following {
    /// What to do after an event.
    enum Step: Equatable {
        case nothing
        case show(ReceivedMessage)
        case showChange(ReceivedChange)
        /// The server has ended the connection.
        case fail(CallFailure)
    }

    /// The last cursor; nil until the server has sent the one at which the stream starts.
    private(set) var cursor: String?

    private var newest: Int64 = 0
    private var backoff = Backoff(first: .seconds(1))
    private var trouble: String?
    private var hasConnected = false

    /// - Parameter start: where to begin; nil to begin with the next message.
    init(after start: Cursor?) {
        guard let start else { return }
        cursor = start.description
        newest = start.number
    }

    /// Takes the stream's start cursor. The newest message of a list would not do: in a cluster a lower number may
    /// still be stored.
    mutating func begin(at id: String) { if cursor == nil, !id.isEmpty { cursor = id } }

    /// - Returns: a note for people.
    mutating func connected() -> String {
        backoff.reset()
        defer { (hasConnected, trouble) = (true, nil) }
        return hasConnected ? "Connected again." : "Connected."
    }

    mutating func receive(_ event: ServerSentEvent) -> Step {
        switch event.type {
        case "message":
            guard let message = ReceivedMessage(json: event.data) else {
                return .fail(CallFailure(sentence: "The server sent something that is not a message.", outlook: .final))
            }
            if !event.id.isEmpty { cursor = event.id }
            // Print each once, even if it is sent again.
            guard message.number > newest else { return .nothing }
            newest = message.number
            return .show(message)
        case "message.changed":
            guard let change = ReceivedChange(json: event.data) else {
                return .fail(CallFailure(sentence: "The server sent something that is not a change.", outlook: .final))
            }
            if !event.id.isEmpty { cursor = event.id }
            return .showChange(change)
        case "close":
            return .fail(closing(event.data))
        default:
            // Events of later servers: keep their ids.
            if !event.id.isEmpty { cursor = event.id }
            return .nothing
        }
    }

    private func closing(_ json: String) -> CallFailure {
        struct Closing: Decodable {
            var code: String?
            var reconnect: Bool?
        }
        // Whatever its data, it is the end.
        let closing = try? JSONDecoder().decode(Closing.self, from: Data(json.utf8))
        let code = (closing?.code ?? "unknown").printable
        if closing?.reconnect == false {
            return CallFailure(sentence: "The server closed the stream for good (\(code)).", outlook: .final)
        }
        let sentence =
            switch CloseCode.allCases.first(where: { $0.name == code }) {
            case .slowConsumer: "The server closed the stream, because it was read too slowly."
            case .goingAway: "The server is shutting down."
            default: "The server closed the stream (\(code))."
            }
        return CallFailure(sentence: sentence, outlook: .passing())
    }

    /// - Parameters:
    ///   - retry: the stream's first pause, in milliseconds.
    ///   - chance: 0 to 1.
    /// - Returns: how long to wait before the next connection, and a note for people, once for each kind of failure.
    /// - Throws: the failure, if a retry is useless.
    mutating func lost(
        _ failure: CallFailure, retry: Int?, chance: Double
    ) throws(CallFailure) -> (pause: Duration, notice: String?) {
        guard case .passing(let asked) = failure.outlook else { throw failure }
        if let retry { backoff.first = min(.milliseconds(max(100, retry)), backoff.longest) }
        defer { trouble = failure.sentence }
        return (
            backoff.pause(asked: asked, chance: chance),
            trouble == failure.sentence ? nil : "\(failure.sentence) Trying again."
        )
    }
}
