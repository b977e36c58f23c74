import Foundation

/// What the server says of a chat: an event of its stream.
public struct ChatEvent: Sendable, Equatable {
    /// What it tells, as far as this client knows its type.
    public enum Content: Sendable, Equatable {
        /// A message, for the first time or again.
        case message(ChatMessage)
        /// A message that was edited, deleted or reacted to.
        case change(MessageChange)
        /// One of another type, which `ChatState` takes the cursor of. `json` has what it says.
        case other
    }

    /// The server's name for it: `message`, `message.changed`, and others.
    public let type: String
    /// Where the reader is once it has this event; nil if that is not told.
    public let cursor: String?
    /// Its data as the server wrote it.
    public let json: String
    /// What it tells.
    public let content: Content

    /// - Returns: nil if the data is not what the type promises.
    init?(_ event: ServerSentEvent) {
        let data = Data(event.data.utf8)
        let decoder = JSONDecoder()
        // For whatever reason, it is not one.
        switch event.type {
        case "message":
            guard let message = try? decoder.decode(ChatMessage.self, from: data) else { return nil }
            content = .message(message)
        case "message.changed":
            guard let change = try? decoder.decode(MessageChange.self, from: data) else { return nil }
            content = .change(change)
        default: content = .other
        }
        type = event.type
        cursor = event.id.isEmpty ? nil : event.id
        json = event.data
    }

    init(type: String, cursor: String?, content: Content) {
        (self.type, self.cursor, self.content, json) = (type, cursor, content, "")
    }
}

/// What a reader of a chat has to know, in order.
public enum ChatUpdate: Sendable, Equatable {
    /// The newest messages, to begin with. What was known before is void: the first time there is nothing, and later the
    /// server was restored to an earlier state.
    case loaded(ChatPage)
    /// The stream is open: what was missed comes now, and what is new comes at once.
    case connected
    case event(ChatEvent)
    /// The server is away, or its stream has ended. Another attempt follows after the pause.
    case lost(CallFailure, pause: Duration)
}

/// A page of a chat's history.
public struct ChatPage: Sendable, Equatable {
    /// By number, rising.
    public let messages: [ChatMessage]
    /// Where the chat was when the page was read.
    public let cursor: String
    /// Whether there are messages before these.
    public let hasOlder: Bool
    /// All of them are below this number; nil for the newest.
    public let before: Int64?
    /// The rows as the server wrote them, newest first.
    package let json: [UInt8]

    init(messages: [ChatMessage], cursor: String, hasOlder: Bool, before: Int64?, json: [UInt8] = []) {
        self.messages = messages
        self.cursor = cursor
        self.hasOlder = hasOlder
        self.before = before
        self.json = json
    }
}
