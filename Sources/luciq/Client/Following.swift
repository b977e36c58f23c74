import LuciqClient

/// What `luciq tail` prints of a chat, without a socket.
struct Following {
    /// Messages to know of: enough to tell what is new after a restore.
    private static let most = 1000

    private let hasChanges: Bool
    private let isJSON: Bool
    private var state = ChatState()
    private var trouble: String?
    private var hasConnected = false

    /// - Parameters:
    ///   - start: where to begin; nil to begin with the next message.
    ///   - hasChanges: whether edits and deletions are lines, too.
    ///   - isJSON: whether a line is what the server has written.
    init(after start: String?, hasChanges: Bool = false, isJSON: Bool = false) {
        if let start, let state = ChatState(after: start) { self.state = state }
        self.hasChanges = hasChanges
        self.isJSON = isJSON
    }

    /// - Returns: lines for standard output, and a note for people.
    mutating func take(_ update: ChatUpdate) -> (lines: String, notice: String?) {
        defer { state.trim(to: Self.most) }
        switch update {
        case .connected:
            state.apply(update)
            defer { (hasConnected, trouble) = (true, nil) }
            return ("", hasConnected ? "Connected again." : "Connected.")
        case .lost(let failure, _):
            state.apply(update)
            defer { trouble = failure.sentence }
            return ("", trouble == failure.sentence ? nil : "\(failure.words) Trying again.")
        case .loaded(let page): return (lines(of: page), "The server was restored to an earlier state.")
        case .event(let event): return (line(of: event), nil)
        }
    }

    private mutating func line(of event: ChatEvent) -> String {
        let line: String
        let head = state.head
        switch (event.content, state.apply(event)) {
        // Printed once, even if it is sent again, and in order.
        case (.message(let message), .added) where message.number > head: line = message.line
        case (.change(let change), .changed) where hasChanges: line = change.line
        default: return ""
        }
        return (isJSON ? event.json.printableJSON : line) + "\n"
    }

    /// The messages that have not been printed: after a restore, numbers are given a second time.
    private mutating func lines(of page: ChatPage) -> String {
        let before = state
        state.load(page)
        let rows =
            isJSON ? JSONText(page.json)?.items?.reversed().map(\.text.printableJSON) ?? [] : page.messages.map(\.line)
        return zip(page.messages, rows).filter { message, _ in
            message.number >= before.first && message.number <= state.head
                && before[message.number]?.createdAt != message.createdAt
        }.map { $1 + "\n" }.joined()
    }
}

extension MessageChange {
    /// For people.
    var line: String { isDeleted ? "\(number)  ×" : "\(number)  ~ \(body?.printable ?? "")" }
}
