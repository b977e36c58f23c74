/// A message of a chat, as far as it is known.
public struct ChatMessage: Sendable, Equatable, Identifiable {
    /// From 1, rising in its chat.
    public let number: Int64
    /// Empty once it was deleted.
    public internal(set) var body: String
    /// By the server's clock, as RFC 3339 in UTC: `2026-11-22T16:57:46.318Z`.
    public let createdAt: String
    /// A user's id; nil for the application.
    public let sender: String?
    /// An object; nil for none.
    public internal(set) var metadata: JSONValue?
    /// Ids of the users whom it names.
    public internal(set) var mentions: [String]
    /// The message that begins the thread that this one is in.
    public let thread: Int64?
    /// Of a reply in a thread: whether it stands in the main line, too.
    public let isInMain: Bool
    /// The message that this one answers.
    public let replyTo: Int64?
    /// That of its content in the chat's count of changes; 0 while it never changed.
    public internal(set) var revision: Int64
    /// When its content changed last, as `createdAt`; nil for never.
    public internal(set) var editedAt: String?
    /// When it was deleted, as `createdAt`.
    public internal(set) var deletedAt: String?
    /// The user who deleted it; nil for the application.
    public internal(set) var deletedBy: String?
    /// In the order of their first use.
    public internal(set) var reactions: [Reaction]
    /// As `revision`, of its reactions.
    public internal(set) var reactionsRevision: Int64
    /// Of a message that begins a thread, as far as a reply was seen.
    public internal(set) var replies: Replies?

    /// What a reply says of its thread.
    var root: Root?

    /// Its number.
    public var id: Int64 { number }
    /// Whether it was deleted; what is left is its number.
    public var isDeleted: Bool { deletedAt != nil }

    /// How often users gave a reaction.
    public struct Reaction: Sendable, Hashable, Decodable {
        /// Such as an emoji.
        public let name: String
        /// How many users.
        public let count: Int
        /// The first of them.
        public let users: [String]
        /// Whether there are more than in `users`.
        public let clipped: Bool
    }

    /// The replies in a thread.
    public struct Replies: Sendable, Hashable {
        /// Those that were given, deleted ones included.
        public let count: Int
        /// The number of the last one.
        public let last: Int64
    }

    /// A thread, as its replies tell of it.
    struct Root: Sendable, Equatable, Decodable {
        let number: Int64
        let reply_count: Int
        let last_reply: Int64
    }

    /// Reactions with their revision.
    struct Reactions: Sendable, Equatable, Decodable {
        let rev: Int64
        let summary: [Reaction]
    }
}

extension ChatMessage: Decodable {
    private enum Key: String, CodingKey {
        case number, message_number, body, created_at, sender, metadata, mentions, thread, in_main, reply_to, root
        case rev, edited_at, deleted_at, deleted_by, reactions
    }

    /// Reads a message as lists, events and answers have it. What a message never had is left out there.
    ///
    /// - Throws: what the decoder throws.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        number = try members.decode(Int64.self, forKey: members.contains(.number) ? .number : .message_number)
        guard number > 0 else {
            throw DecodingError.dataCorruptedError(forKey: .number, in: members, debugDescription: "not a number")
        }
        body = try members.decode(String.self, forKey: .body)
        createdAt = try members.decode(String.self, forKey: .created_at)
        sender = try members.decodeIfPresent(String.self, forKey: .sender)
        metadata = try members.decodeIfPresent(JSONValue.self, forKey: .metadata)
        mentions = try members.decodeIfPresent([String].self, forKey: .mentions) ?? []
        thread = try members.decodeIfPresent(Int64.self, forKey: .thread)
        isInMain = try members.decodeIfPresent(Bool.self, forKey: .in_main) ?? false
        replyTo = try members.decodeIfPresent(Int64.self, forKey: .reply_to)
        root = try members.decodeIfPresent(Root.self, forKey: .root)
        revision = try members.decodeIfPresent(Int64.self, forKey: .rev) ?? 0
        editedAt = try members.decodeIfPresent(String.self, forKey: .edited_at)
        deletedAt = try members.decodeIfPresent(String.self, forKey: .deleted_at)
        deletedBy = try members.decodeIfPresent(String.self, forKey: .deleted_by)
        let reactions = try members.decodeIfPresent(Reactions.self, forKey: .reactions)
        self.reactions = reactions?.summary ?? []
        reactionsRevision = reactions?.rev ?? 0
    }
}
