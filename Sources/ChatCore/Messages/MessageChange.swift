/// An edit or a deletion of one stored message, a reaction to it, or its pin. Each can be carried out a second time without any effect.
package struct MessageChange: Sendable {
    package enum Action: Hashable, Sendable {
        case edit(MessagePatch)
        case delete
        case react(Reaction)
        case pin(PinAction)
    }

    package let chat: ChatPlace
    package let number: Message.Number
    package let action: Action
    /// Only if the message's revision is one of these. Nil: whatever it is.
    package let expected: Set<Int64>?
    package let key: IdempotencyKey?
    package let author: Author
    /// From where it comes; nil: from the server itself.
    package let client: IPAddress?
    package let rules: EditRules

    package init(
        chat: ChatPlace, number: Message.Number, action: Action, expected: Set<Int64>? = nil,
        key: IdempotencyKey? = nil, author: Author = .application, client: IPAddress? = nil,
        rules: EditRules = EditRules()
    ) {
        self.chat = chat
        self.number = number
        self.action = action
        self.expected = expected
        self.key = key
        self.author = author
        self.client = client
        self.rules = rules
    }

    /// What an edit or a deletion makes of the message. Called within the transaction that stores it, so that nothing that it depends on changes
    /// meanwhile. The caller gives it its revision.
    ///
    /// - Parameter standing: of a user in the chat, if the chat is there for the user; else of no meaning.
    /// - Returns: nil if the message is that way already, whatever revision was expected (RFC 9110, 13.1.1).
    /// - Throws: `ChatError.notFound`, `.insufficientRole`, `.editWindowClosed`, `.messageDeleted`, `.changedMeanwhile`;
    ///   `.invalid` for metadata that become too long.
    package func decide(
        on message: Message, as standing: Standing?, at now: Timestamp
    ) throws(ChatError) -> Message? {
        let isLimited = try checkAuthor(of: message, standing)
        var new = message
        switch action {
        case .delete:
            guard message.deletion == nil else { return nil }
            new.content = message.content.cleared
            new.reactions = nil
            new.deletion = Message.Deletion(at: now, by: author.user)
        case .edit(let patch):
            guard message.deletion == nil else { throw .messageDeleted }
            new.content = try patch.applied(to: message.content)
            guard !new.content.isIdentical(to: message.content) else { return nil }
            new.editedAt = now
        case .react, .pin: return nil
        }
        // Last of what concerns the user: a retry of what was done in time is no change.
        if isLimited, now > message.createdAt.adding(rules.window) { throw .editWindowClosed }
        if let expected, !expected.contains(message.revision) { throw .changedMeanwhile(message) }
        return new
    }

    /// Whether a reaction changes anything. Called likewise. Who may write in the chat may react.
    ///
    /// - Parameters:
    ///   - reactions: to the message; they know those of the reaction's user.
    ///   - standing: likewise.
    /// - Throws: `ChatError.notFound`, `.insufficientRole`, `.messageDeleted`, `.tooManyReactions`.
    package func decide(
        _ reaction: Reaction, to message: Message, among reactions: MessageReactions, as standing: Standing?
    ) throws(ChatError) -> Bool {
        try checkSees(standing)
        if author.user != nil { try standing?.checkMayWrite() }
        guard message.deletion == nil else { throw .messageDeleted }
        return try reactions.changes(reaction)
    }

    /// - Parameter standing: as for `decide`.
    /// - Throws: `ChatError.notFound` if the message is not there for a user.
    package func checkSees(_ standing: Standing?) throws(ChatError) {
        guard author.user != nil else { return }
        guard let standing, standing.numbers.contains(number.rawValue) else { throw .notFound }
    }

    /// The application may all. A user changes its own messages for a while; who administers the chat changes metadata, and
    /// deletes.
    ///
    /// - Returns: whether for a while.
    private func checkAuthor(of message: Message, _ standing: Standing?) throws(ChatError) -> Bool {
        try checkSees(standing)
        guard let user = author.user, let standing else { return false }
        try standing.checkMayWrite()
        if standing.role?.administers == true, action.isForAdministrators { return false }
        guard message.content.sender == user else { throw .insufficientRole }
        return true
    }
}

extension MessageChange.Action {
    fileprivate var isForAdministrators: Bool {
        switch self {
        case .delete: true
        case .edit(let patch): patch.body == nil && patch.mentions == nil
        case .react, .pin: false
        }
    }
}

extension MessageChange {
    /// Whether it may change the message's content. All else can be carried out twice, whoever else has changed it since.
    package var changesContent: Bool {
        switch action {
        case .edit, .delete: true
        case .react, .pin: false
        }
    }

    /// Nil for all else.
    package var reaction: Reaction? { if case .react(let reaction) = action { reaction } else { nil } }
}

/// What to change of a message's content; nil stays as it is.
package struct MessagePatch: Hashable, Sendable {
    package var body: String?
    /// A JSON object, which is merged into the present one (RFC 7396), or null, which removes all.
    package var metadata: [UInt8]?
    /// They replace the present ones.
    package var mentions: Mentions?

    package init(body: String? = nil, metadata: [UInt8]? = nil, mentions: Mentions? = nil) {
        self.body = body
        self.metadata = metadata
        self.mentions = mentions
    }

    var size: Int { (body?.utf8.count ?? 0) + (metadata?.count ?? 0) + (mentions?.size ?? 0) }

    /// - Throws: `ChatError.invalid` for a bad body, or metadata that are neither an object nor null.
    func check() throws(ChatError) {
        if let body { try Text.checkBody(body) }
        if let metadata { _ = try Metadata.merge(metadata, into: nil) }
    }

    /// - Throws: `ChatError.invalid` if the metadata become too long.
    func applied(to content: MessageContent) throws(ChatError) -> MessageContent {
        var new = content
        if let body { new.body = body }
        if let metadata { new.metadata = try Metadata.merge(metadata, into: content.metadata) }
        if let mentions, mentions != content.mentions ?? .nobody { new.mentions = mentions }
        return new
    }
}

/// How long messages may be edited, and what is kept of them.
package struct EditRules: Hashable, Sendable {
    /// How long a user may edit and delete a message of its own.
    package var window: Duration
    /// How long replaced contents are kept; 0 keeps none.
    package var historyDays: Int

    package init(window: Duration = .seconds(86_400), historyDays: Int = 30) {
        self.window = window
        self.historyDays = historyDays
    }

    package var keepsVersions: Bool { historyDays > 0 }

    /// What was replaced before is not kept any more.
    package func oldest(at now: Timestamp) -> Timestamp { now.adding(.seconds(-86_400 * Int64(historyDays))) }
}

/// A message after a change.
package struct ChangedMessage: Equatable, Sendable {
    /// As it is then.
    package var message: Message
    /// Whether the change took a revision.
    package let isChanged: Bool
    /// Whether an earlier request with the same idempotency key made the change.
    package let isReplay: Bool
    /// For a change of its pin: the pin then.
    package var pin: Pin?
    /// For a change of its pin: the revision that it took; 0 if it took none.
    package var pinRevision: Int64

    package init(
        message: Message, isChanged: Bool, isReplay: Bool = false, pin: Pin? = nil, pinRevision: Int64 = 0
    ) {
        self.message = message
        self.pin = pin
        self.pinRevision = pinRevision
        self.isChanged = isChanged
        self.isReplay = isReplay
    }
}

/// A content that was replaced.
package struct MessageVersion: Equatable, Sendable {
    /// The revision that the message had with it.
    package let revision: Int64
    package let body: String
    package let metadata: String?
    /// As `MessageContent.mentions`.
    package let mentions: Mentions?
    /// Since when it was the message's content.
    package let createdAt: Timestamp
    package let replacedAt: Timestamp

    package init(
        revision: Int64, body: String, metadata: String?, mentions: Mentions?, createdAt: Timestamp,
        replacedAt: Timestamp
    ) {
        self.revision = revision
        self.body = body
        self.metadata = metadata
        self.mentions = mentions
        self.createdAt = createdAt
        self.replacedAt = replacedAt
    }

    /// What an edit replaces.
    package init(of message: Message, replacedAt: Timestamp) {
        self.init(
            revision: message.revision, body: message.body, metadata: message.content.metadata,
            mentions: message.content.mentions, createdAt: message.editedAt ?? message.createdAt, replacedAt: replacedAt
        )
    }
}

extension MessageChange: CommitEntry {
    package var lane: Int64? { chat.id.rawValue }
    package var share: Int64? { chat.tenant.rawValue }
    package var bytes: Int {
        let said =
            switch action {
            case .edit(let patch): patch.size
            case .delete: 0
            case .pin: User.ID.maxLength
            case .react(let reaction): reaction.name.text.utf8.count + reaction.user.text.utf8.count
            }
        return 64 + said + (key?.text.utf8.count ?? 0)
    }
    package var claim: CommitClaim? { key.map { CommitClaim(scope: chat.id.rawValue, key: $0.text) } }

    /// The bytes that an idempotency key's fingerprint covers. They begin with a null character, which those of a create do
    /// not.
    ///
    /// - Parameter user: nil for what is no user.
    package static func fingerprinted(
        _ action: Action, of number: Message.Number, by user: User.ID? = nil
    ) -> [UInt8] {
        let place = [0] + Array(String(number.rawValue).utf8) + [0] + Array((user?.text ?? "").utf8) + [0]
        switch action {
        case .delete: return place + [0]
        case .pin(.pin(let user)): return place + [4, 0] + Array((user?.text ?? "").utf8)
        case .pin(.unpin): return place + [4, 1]
        case .react(let reaction):
            return place + [3, reaction.isTakenBack ? 1 : 0] + Array(reaction.user.text.utf8) + [0]
                + Array(reaction.name.key.utf8)
        case .edit(let patch):
            let (body, metadata) = (patch.body.map { Array($0.utf8) }, patch.metadata)
            let text = place + [body == nil ? 1 : 2] + (body ?? []) + [0] + [metadata == nil ? 1 : 2] + (metadata ?? [])
            return text + (patch.mentions.map { [0] + Array($0.json.utf8) } ?? [])
        }
    }
}
