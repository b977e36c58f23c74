/// What an event says of a message that has changed: the parts that have, as they are now.
public struct MessageChange: Sendable, Equatable {
    /// Of the message.
    public let number: Int64
    var content: Content?
    var reactions: ChatMessage.Reactions?
    var root: ChatMessage.Root?

    /// As it is now, empty if it was deleted; nil if that is not told.
    public var body: String? { content?.body.value }
    /// Whether it was deleted.
    public var isDeleted: Bool { content?.deletedAt.value != nil }

    /// A member that may be left out. Left out, it says nothing, not even that there is none.
    enum Told<Value: Sendable & Equatable>: Sendable, Equatable {
        case not
        case now(Value?)

        var value: Value? { if case .now(let value) = self { value } else { nil } }

        func apply(to member: inout Value?) { if case .now(let value) = self { member = value } }
    }

    /// The part that edits and deletions change.
    struct Content: Sendable, Equatable {
        var revision: Int64
        var body: Told<String> = .not
        var metadata: Told<JSONValue> = .not
        var mentions: Told<[String]> = .not
        var editedAt: Told<String> = .not
        var deletedAt: Told<String> = .not
        var deletedBy: Told<String> = .not

        func apply(to message: inout ChatMessage) {
            if let body = body.value { message.body = body }
            metadata.apply(to: &message.metadata)
            if let mentions = mentions.value { message.mentions = mentions }
            editedAt.apply(to: &message.editedAt)
            deletedAt.apply(to: &message.deletedAt)
            deletedBy.apply(to: &message.deletedBy)
            message.revision = revision
        }

        /// What is told later adds to what was told before.
        mutating func add(_ later: Content) {
            revision = later.revision
            if later.body != .not { body = later.body }
            if later.metadata != .not { metadata = later.metadata }
            if later.mentions != .not { mentions = later.mentions }
            if later.editedAt != .not { editedAt = later.editedAt }
            if later.deletedAt != .not { deletedAt = later.deletedAt }
            if later.deletedBy != .not { deletedBy = later.deletedBy }
        }
    }

    init(number: Int64, content: Content? = nil, reactions: ChatMessage.Reactions? = nil) {
        self.number = number
        self.content = content
        self.reactions = reactions
    }

    /// A message that came whole, as a change of one that is held.
    init(_ message: ChatMessage) {
        number = message.number
        content = Content(
            revision: message.revision, body: .now(message.body), metadata: .now(message.metadata),
            mentions: .now(message.mentions),
            editedAt: .now(message.editedAt), deletedAt: .now(message.deletedAt), deletedBy: .now(message.deletedBy))
        if message.reactionsRevision > 0 {
            reactions = .init(rev: message.reactionsRevision, summary: message.reactions)
        }
        root = message.root
    }
}

extension MessageChange: Decodable {
    private enum Key: CodingKey { case number, parts, root }
    private enum PartKey: CodingKey { case content, reactions }

    /// - Throws: what the decoder throws.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        number = try members.decode(Int64.self, forKey: .number)
        // Parts of later servers say nothing to this client.
        let parts = try members.nestedContainer(keyedBy: PartKey.self, forKey: .parts)
        content = try parts.decodeIfPresent(Content.self, forKey: .content)
        reactions = try parts.decodeIfPresent(ChatMessage.Reactions.self, forKey: .reactions)
        root = try members.decodeIfPresent(ChatMessage.Root.self, forKey: .root)
    }
}

extension MessageChange.Content: Decodable {
    private enum Key: CodingKey { case rev, body, metadata, mentions, edited_at, deleted_at, deleted_by }

    init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        func told<Value: Decodable>(_ key: Key, as type: Value.Type = Value.self) throws -> MessageChange.Told<Value> {
            members.contains(key) ? .now(try members.decodeIfPresent(Value.self, forKey: key)) : .not
        }
        revision = try members.decode(Int64.self, forKey: .rev)
        body = try told(.body)
        metadata = try told(.metadata)
        mentions = try told(.mentions)
        editedAt = try told(.edited_at)
        deletedAt = try told(.deleted_at)
        deletedBy = try told(.deleted_by)
    }
}
