import ChatCore
import Foundation
import Scheduling

/// What `luciq tail` makes of what it hears, without a socket: which messages are new, and what follows a loss.
struct Following {
    /// What an event asks for.
    enum Step: Equatable {
        case nothing
        case show(ReceivedMessage)
        /// The connection is over, as the server says.
        case fail(CallFailure)
    }

    /// What was seen last; nil as long as the server has not said where "the next message" begins.
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

    /// The stream has said where it begins. What a list calls the newest message would not do: in a cluster a lower
    /// number may still be on its way.
    mutating func begin(at id: String) { if cursor == nil, !id.isEmpty { cursor = id } }

    /// - Returns: what to tell a person.
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
            // Each comes once, whatever is sent again.
            guard message.number > newest else { return .nothing }
            newest = message.number
            return .show(message)
        case "close":
            return .fail(closing(event.data))
        default:
            // Kinds of events that later servers have. They too are seen.
            if !event.id.isEmpty { cursor = event.id }
            return .nothing
        }
    }

    private func closing(_ json: String) -> CallFailure {
        struct Closing: Decodable {
            var code: String?
            var reconnect: Bool?
        }
        // Whatever it says, it is a goodbye.
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
    ///   - retry: milliseconds to wait at first, as the stream asked.
    ///   - chance: 0 to 1.
    /// - Returns: how long to wait before connecting again, and what to tell a person: each trouble once.
    /// - Throws: the failure, when a retry is useless.
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
