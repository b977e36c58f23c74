/// A thing of a chat that has changed, in its state now.
package struct ChangeEvent: Sendable {
    package enum Thing: Sendable {
        case message(Message)
        /// - Parameter Member: nil if it is none any more.
        case member(User.ID, Member?)
        case chat(Chat.Settings)
        /// - Parameter Pin: nil if it was taken back, or went with its message.
        case pin(Message.Number, Pin?)
    }

    /// Of the change.
    package let revision: Int64
    package let thing: Thing

    package init(revision: Int64, thing: Thing) {
        self.revision = revision
        self.thing = thing
    }

    /// What has changed, as `chat_changes` has it.
    package var item: ChangedItem {
        switch thing {
        case .message(let message):
            ChangedItem(kind: .message, number: message.number.rawValue, user: nil, revision: revision)
        case .member(let user, _): ChangedItem(kind: .member, number: 0, user: user, revision: revision)
        case .chat: ChangedItem(kind: .chat, number: 0, user: nil, revision: revision)
        case .pin(let number, _): ChangedItem(kind: .pin, number: number.rawValue, user: nil, revision: revision)
        }
    }

    /// Its bytes in memory, estimated, for the bounds.
    var weight: Int {
        switch thing {
        case .message(let message): message.weight
        case .member(let user, _): 192 + user.text.utf8.count
        case .chat(let settings): 192 + settings.size
        case .pin: 256
        }
    }

    /// Its encoded bytes, estimated. Scans the whole text.
    var writtenBytes: Int {
        switch thing {
        case .message(let message): message.writtenBytes
        case .member, .pin: weight
        case .chat(let settings): 192 + (settings.name?.lengthInJSON ?? 0) + (settings.metadata?.utf8.count ?? 0)
        }
    }

    /// Whether it is of a reply that tells its thread.
    var hasRoot: Bool {
        if case .message(let message) = thing { message.root != nil } else { false }
    }

    /// For a reader to whom not all messages are there.
    var withoutRoot: ChangeEvent {
        guard case .message(let message) = thing else { return self }
        return ChangeEvent(revision: revision, thing: .message(message.withoutRoot))
    }

    /// Whether both are about the same thing, so that the later one says all.
    func isAboutSame(as other: ChangeEvent) -> Bool { item.isSame(as: other.item) }
}

extension ChangedItem {
    /// The number of the message that it is about: live, a reader gets the message first. Nil for what is about none.
    var messageNumber: Int64? {
        switch kind {
        case .message, .pin: number
        case .member, .chat, nil: nil
        }
    }

    /// Whether it is there for a reader.
    ///
    /// - Parameter numbers: the messages that are. One that was removed reads on what it had, but not who comes and goes.
    func isThere(in numbers: NumberSpan) -> Bool {
        switch kind {
        case .message, .pin: numbers.contains(number)
        case .member: numbers.last == .max
        case .chat, nil: true
        }
    }

    func isSame(as other: ChangedItem) -> Bool {
        kind == other.kind && number == other.number && user == other.user
    }
}

/// Reads what has changed in chats, and the states of these things.
struct ChangeReader: Sendable {
    private let changes: any MessageChanges
    private let members: any MemberStore
    private let chats: any ReadStates
    private let threads: any ThreadStore

    init(_ backend: Backend) {
        self.changes = backend.changes
        self.members = backend.members
        self.chats = backend.reads
        self.threads = backend.threads
    }

    /// The highest revision of each chat, without chats of which nothing has changed.
    func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] { try await changes.revisions(of: chats) }

    /// The things whose last change lies after one revision and up to another, by their revisions.
    func items(in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int) async throws -> [ChangedItem] {
        try await changes.changes(in: chat, after: revision, upTo: last, limit: limit)
    }

    /// The states of these things, in the same order; those that this version does not know are left out.
    ///
    /// - Parameter items: at most 64.
    func events(of items: [ChangedItem], in chat: Chat.ID) async throws -> [ChangeEvent] {
        let numbers = items.filter { $0.kind == .message }.map { Message.Number($0.number) }
        let users = items.filter { $0.kind == .member }.compactMap(\.user)
        // Each kind is one read, and most changes are of messages.
        let messages = numbers.isEmpty ? [:] : try await changes.messages(numbers, in: chat)
        let roots = try await threads.threads(of: messages.values, in: chat)
        let members = users.isEmpty ? [:] : try await self.members.members(users, of: chat)
        let pins = items.contains { $0.kind == .pin } ? try await changes.pins(of: chat) : []
        let settings = items.contains { $0.kind == .chat } ? try await chats.chats([chat])[chat]?.settings : nil
        return items.compactMap { item in
            let thing: ChangeEvent.Thing? =
                switch item.kind {
                case .message: messages[Message.Number(item.number)].map { .message($0.telling(roots)) }
                case .member: item.user.map { .member($0, members[$0]) }
                case .chat: settings.map { .chat($0) }
                case .pin: .pin(Message.Number(item.number), pins.first { $0.number.rawValue == item.number })
                case nil: nil
                }
            return thing.map { ChangeEvent(revision: item.revision, thing: $0) }
        }
    }
}
