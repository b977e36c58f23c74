import Synchronization

/// The messages that one subscriber of one chat has received, over any number of connections.
final class StreamSubscriber: Sendable {
    struct Row: Equatable, Sendable {
        let number: Int
        let body: String
    }

    private struct State {
        var start: Int?
        var rows: [Row] = []
        var problems: [String] = []
    }

    /// Its number.
    let chat: Int
    /// Where it starts; nil for with the next message.
    let after: Int?
    private let state = Mutex(State())

    init(chat: Int, after: Int?) {
        self.chat = chat
        self.after = after
    }

    /// The start that the server has announced; nil before that.
    var start: Int? { state.withLock(\.start) }
    var rows: [Row] { state.withLock(\.rows) }
    var count: Int { state.withLock { $0.rows.count } }
    var last: Row? { state.withLock { $0.rows.last } }
    var problems: [String] { state.withLock(\.problems) }

    /// What to ask for when it comes back.
    var cursor: Int? { state.withLock { $0.rows.last?.number ?? $0.start } ?? after }

    /// The server says where it goes on.
    ///
    /// - Parameter asked: what it was asked for.
    func begin(at cursor: Int, asked: Int?) {
        state.withLock { state in
            if state.start == nil { state.start = cursor }
            if let asked, asked != cursor { state.problems.append("asked for \(asked), got \(cursor)") }
        }
    }

    func receive(_ row: Row) { state.withLock { $0.rows.append(row) } }
}
