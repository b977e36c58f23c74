import TestSupport

@testable import ChatCore

/// What a client has of a chat.
struct ChatContents: Equatable {
    var messages: [Message] = []
    /// What threads have.
    var roots: [Message.Number: ThreadSummary] = [:]
    var pins: [Pin] = []
    /// Those of now.
    var members: [Member] = []
    var settings = Chat.Settings()
}

/// What a client keeps of a chat, by the rule of all clients; and what the server must not do.
struct ChatReplica: Sendable {
    var messages: [Message.Number: Message] = [:]
    private var roots: [Message.Number: ThreadSummary] = [:]
    private var pins: [Message.Number: Pin] = [:]
    private var members: [User.ID: Member] = [:]
    private var settings = Chat.Settings()
    private(set) var cursor: Cursor
    private(set) var violations: [String] = []

    init(cursor: Cursor) { self.cursor = cursor }

    var list: [Message] { messages.values.sorted { $0.number < $1.number } }

    var contents: ChatContents {
        ChatContents(
            messages: list, roots: roots, pins: pins.values.sorted { $0.number < $1.number },
            members: members.values.sorted { $0.user.text < $1.user.text }, settings: settings)
    }

    mutating func apply(_ events: LiveEvents) {
        if events.isEmpty { violations.append("no event") }
        for index in 0..<events.count {
            let (event, next) = events.event(at: index)
            switch event {
            case .message(let message): keep(message)
            case .change(let change, let base): apply(change, since: base)
            case .signal: continue
            }
            if next.number < cursor.number || next.revision ?? 0 < cursor.revision ?? 0 || next.revision == nil {
                violations.append("\(cursor) fell to \(next)")
            }
            cursor = next
        }
    }

    private mutating func apply(_ change: ChangeEvent, since base: Int64) {
        switch change.thing {
        case .message(let message):
            guard let held = messages[message.number] else {
                violations.append("\(message.number) changed, but never came")
                return
            }
            // Only the parts above it are told.
            var known = message
            if message.revision <= base {
                known = held
                (known.reactions, known.reactionsRevision) = (message.reactions, message.reactionsRevision)
            }
            if message.reactionsRevision <= base {
                (known.reactions, known.reactionsRevision) = (held.reactions, held.reactionsRevision)
            }
            known.root = message.root
            keep(known)
        case .member(let user, let member): members[user] = member.flatMap { $0.isActive ? $0 : nil }
        case .chat(let settings): self.settings = settings
        case .pin(let number, let pin): pins[number] = messages[number]?.deletion == nil ? pin : nil
        }
    }

    private mutating func keep(_ told: Message) {
        let message = told.withoutRoot
        keepRoot(of: told)
        if message.deletion != nil, message.body != "" { violations.append("a tombstone with text") }
        guard message.lastRevision >= messages[message.number]?.lastRevision ?? 0 else { return }
        messages[message.number] = message
        // A deletion takes no revision for the pin that goes with it.
        if message.deletion != nil { pins[message.number] = nil }
    }
}

extension ChatReplica {
    private mutating func keepRoot(of message: Message) {
        guard let root = message.root else {
            if message.content.thread != nil { violations.append("\(message.number) does not tell its thread") }
            return
        }
        let held = roots[root.root] ?? root
        roots[root.root] = ThreadSummary(
            root: root.root, replyCount: max(held.replyCount, root.replyCount),
            lastReply: max(held.lastReply, root.lastReply))
        if root.lastReply < message.number { violations.append("\(message.number) is not in its thread") }
    }
}

extension TestBackend {
    /// What the store has, as a client that loads it anew.
    func contents(of chat: Chat.ID) async throws -> ChatContents {
        let messages = try await list(chat, Page(limit: 1000)).items
        return ChatContents(
            messages: messages, roots: try await backend.threads.threads(of: messages, in: chat),
            pins: try await backend.changes.pins(of: chat),
            members: try await backend.members.members(of: chat, after: nil, limit: 1000).members,
            settings: try await backend.reads.chats([chat])[chat]?.settings ?? Chat.Settings())
    }
}
