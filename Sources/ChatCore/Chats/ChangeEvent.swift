/// A thing of a chat that has changed, in its state now.
package struct ChangeEvent: Sendable {
    package enum Thing: Sendable {
        case message(Message)
    }

    /// Of the change.
    package let revision: Int64
    package let thing: Thing

    package init(revision: Int64, thing: Thing) {
        self.revision = revision
        self.thing = thing
    }

    /// The number of the message that it is about: a reader gets the message first. Nil for what is about none.
    package var number: Int64? {
        switch thing {
        case .message(let message): message.number.rawValue
        }
    }

    /// Its bytes in memory, estimated, for the bounds.
    var weight: Int {
        switch thing {
        case .message(let message): message.weight
        }
    }

    /// Its encoded bytes, estimated. Scans the whole text.
    var writtenBytes: Int {
        switch thing {
        case .message(let message): message.writtenBytes
        }
    }

    /// Whether both are about the same thing, so that the later one says all.
    func isAboutSame(as other: ChangeEvent) -> Bool {
        switch (thing, other.thing) {
        case (.message(let message), .message(let other)): message.number == other.number
        }
    }
}

extension ChangedItem {
    /// The number of the message that it is about, as `ChangeEvent.number`.
    var messageNumber: Int64? {
        switch kind {
        case .message, .pin: number
        case .member, .chat, nil: nil
        }
    }
}

/// Reads what has changed in chats, and the states of these things.
struct ChangeReader: Sendable {
    private let changes: any MessageChanges

    init(_ backend: Backend) {
        self.changes = backend.changes
    }

    /// The highest revision of each chat, without chats of which nothing has changed.
    func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] { try await changes.revisions(of: chats) }

    /// The things whose last change lies after one revision and up to another, by their revisions.
    func items(in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int) async throws -> [ChangedItem] {
        try await changes.changes(in: chat, after: revision, upTo: last, limit: limit)
    }

    /// The states of these things, in the same order; those that this version does not know are left out.
    func events(of items: [ChangedItem], in chat: Chat.ID) async throws -> [ChangeEvent] {
        let numbers = items.filter { $0.kind == .message }.map { Message.Number($0.number) }
        let messages = numbers.isEmpty ? [:] : try await changes.messages(numbers, in: chat)
        return items.compactMap { item in
            switch item.kind {
            case .message:
                messages[Message.Number(item.number)].map { ChangeEvent(revision: item.revision, thing: .message($0)) }
            case .member, .chat, .pin, nil: nil
            }
        }
    }
}
