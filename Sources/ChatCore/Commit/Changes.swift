/// A change to a chat's content. Changes to one chat are stored one after the other, in the order of arrival.
package enum ChatChange: Sendable {
    case message(NewMessage)

    /// The result of a change.
    package enum Outcome: Equatable, Sendable {
        case message(AppendedMessage)
    }
}

/// A message to append. The log assigns its number and its time.
package struct NewMessage: Sendable {
    package let tenant: Tenant.ID
    package let chat: Chat.ID
    package let content: MessageContent
    package let key: IdempotencyKey?
    /// Nil: the ids are taken as they are.
    package let origin: Origin?
    /// From where it comes; nil: from the server itself.
    package let client: IPAddress?
    package let author: Author

    package init(
        tenant: Tenant.ID, chat: Chat.ID, content: MessageContent, key: IdempotencyKey? = nil, origin: Origin? = nil,
        client: IPAddress? = nil, author: Author = .application
    ) {
        self.tenant = tenant
        self.chat = chat
        self.content = content
        self.key = key
        self.origin = origin
        self.author = author
        self.client = client
    }

    package init(tenant: Tenant.ID, chat: Chat.ID, body: String, key: IdempotencyKey? = nil) {
        self.init(tenant: tenant, chat: chat, content: MessageContent(body: body), key: key)
    }
}

/// The number and the time of a stored message.
package struct AppendedMessage: Equatable, Sendable {
    package let number: Message.Number
    package let createdAt: Timestamp
    /// Whether an earlier request with the same idempotency key stored it.
    package let isReplay: Bool
    /// Of a reply, as `Message.root`.
    package var root: ThreadSummary?

    package init(number: Message.Number, createdAt: Timestamp, isReplay: Bool) {
        self.number = number
        self.createdAt = createdAt
        self.isReplay = isReplay
    }
}

/// A chat to create. The log assigns its number and its time.
package struct NewChat: Sendable {
    package let tenant: Tenant.ID
    package let settings: Chat.Settings
    package let key: IdempotencyKey?
    /// Nil: the id is taken as it is.
    package let origin: Origin?
    /// From where it comes; nil: from the server itself.
    package let client: IPAddress?
    /// A user becomes its owner, in the same transaction.
    package let author: Author

    package init(
        tenant: Tenant.ID, settings: Chat.Settings = Chat.Settings(), key: IdempotencyKey? = nil,
        origin: Origin? = nil, client: IPAddress? = nil, author: Author = .application
    ) {
        self.tenant = tenant
        self.settings = settings
        self.key = key
        self.origin = origin
        self.author = author
        self.client = client
    }
}

/// The id and the number of a stored chat.
package struct AppendedChat: Equatable, Sendable {
    /// Nil if the store would need another query for it.
    package let id: Chat.ID?
    package let number: Chat.Number
    /// Whether an earlier request with the same idempotency key stored it.
    package let isReplay: Bool

    package init(id: Chat.ID?, number: Chat.Number, isReplay: Bool) {
        self.id = id
        self.number = number
        self.isReplay = isReplay
    }
}

/// A change to the table of tenants.
package enum TenantChange: Sendable {
    case create(
        name: String, token: Tenant.Token, publicID: Tenant.PublicID = .random(),
        pathToken: Tenant.PathToken = .credential)
    /// Changes what is not nil.
    ///
    /// - Parameter token: the tenant's; nil: the id is taken as it is.
    case update(
        Tenant.ID, token: Tenant.Token? = nil, name: String? = nil, pathToken: Tenant.PathToken? = nil,
        rules: RulesChange? = nil)
    /// - Parameter token: likewise.
    case addKey(ApplicationKey, token: Tenant.Token? = nil)
    /// Changes nothing if it is revoked already.
    case revokeKey(AccessKey.ID, of: Tenant.ID)
    /// Sets when keys were last used, at most once a minute for each; ignores keys that are gone.
    case useKeys([AccessKey.ID: Timestamp])
    /// Replaces the token. The one of now becomes the old one, and the old one of before names nothing any more.
    ///
    /// - Parameter token: likewise.
    case rotate(Tenant.ID, token: Tenant.Token? = nil, to: Tenant.Token, oldUntil: Timestamp)
    /// Suspends the tenant and, with a time, has it deleted then. Moments that are set already stay.
    case suspend(Tenant.ID, token: Tenant.Token? = nil, deletesAt: Timestamp? = nil)
    /// Ends the suspension, and takes the deletion back.
    case resume(Tenant.ID, token: Tenant.Token? = nil)
    /// A change of one tenant, and its row in the audit if it succeeds.
    indirect case audited(TenantChange, AuditRecord)
    /// - Parameter token: likewise.
    case users(UserChange, of: Tenant.ID, token: Tenant.Token? = nil)
    /// As `useKeys`, for keys of user tokens.
    case useTokenKeys([TokenKeyAddress: Timestamp])
    case member(MemberChange)
    case chat(ChatUpdate)

    /// What came of a change.
    package enum Effect: Equatable, Sendable {
        /// It was so before: nothing is stored, not even a row of the audit.
        case nothing
        case changed
        /// Besides, who may see what in a chat is not what it was.
        case changedAccess
    }
}

extension ChatChange {
    package var tenant: Tenant.ID {
        switch self {
        case .message(let new): new.tenant
        }
    }
    package var chat: Chat.ID {
        switch self {
        case .message(let new): new.chat
        }
    }
    package var key: IdempotencyKey? {
        switch self {
        case .message(let new): new.key
        }
    }
    /// Nil: the ids are taken as they are.
    package var origin: Origin? {
        switch self {
        case .message(let new): new.origin
        }
    }
    package var author: Author {
        switch self {
        case .message(let new): new.author
        }
    }
}

extension ChatChange: CommitEntry {
    package var lane: Int64? { chat.rawValue }
    package var share: Int64? { tenant.rawValue }
    package var client: IPAddress? {
        switch self {
        case .message(let new): new.client
        }
    }

    package var bytes: Int {
        switch self {
        case .message(let new): new.content.size + (new.key?.text.utf8.count ?? 0)
        }
    }

    package var claim: CommitClaim? { key.map { CommitClaim(scope: chat.rawValue, key: $0.text) } }
}

extension NewChat: CommitEntry {
    package var lane: Int64? { tenant.rawValue }
    package var share: Int64? { tenant.rawValue }
    package var bytes: Int { (key?.text.utf8.count ?? 0) + settings.size }
    package var claim: CommitClaim? { key.map { CommitClaim(scope: tenant.rawValue, key: $0.text) } }
}

extension TenantChange {
    /// The chat of which it changes a member or the settings.
    package var changedChat: Chat.ID? {
        switch self {
        case .member(let change): change.chat.id
        case .chat(let update): update.chat.id
        case .audited(let change, _): change.changedChat
        case .create, .update, .addKey, .revokeKey, .useKeys, .users, .useTokenKeys, .rotate, .suspend, .resume: nil
        }
    }
}

extension TenantChange: CommitEntry {
    package var lane: Int64? {
        switch self {
        case .create, .useKeys, .useTokenKeys: nil
        case .users(let change, let id, _): change.isOrdered ? id.rawValue : nil
        case .update(let id, _, _, _, _), .revokeKey(_, let id): id.rawValue
        case .addKey(let key, _): key.tenant.rawValue
        case .rotate(let id, _, _, _), .suspend(let id, _, _), .resume(let id, _): id.rawValue
        case .audited(let change, _): change.lane
        case .member(let change): change.chat.tenant.rawValue
        case .chat(let change): change.chat.tenant.rawValue
        }
    }

    package var share: Int64? {
        if case .users(_, let id, _) = self { id.rawValue } else { lane }
    }

    package var bytes: Int {
        switch self {
        case .create(let name, _, _, _): name.utf8.count
        case .update(_, _, let name, _, let rules):
            (name?.utf8.count ?? 0) + (rules?.origins?.reduce(0) { $0 + $1.utf8.count } ?? 0)
        case .addKey(let key, _): key.name.utf8.count
        case .revokeKey, .rotate, .suspend, .resume: 0
        case .useKeys(let uses): uses.count * 32
        case .useTokenKeys(let uses): uses.count * 64
        case .users(let change, _, _): change.bytes
        case .audited(let change, let record): change.bytes + 256 + (record.source?.requestID.utf8.count ?? 0)
        case .member(let change): change.user.text.utf8.count + (change.actor?.text.utf8.count ?? 0)
        case .chat(let change): change.patch.size
        }
    }

    package var claim: CommitClaim? { nil }
}
