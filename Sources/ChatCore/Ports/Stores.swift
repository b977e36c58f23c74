/// Reads tenants. Absence is nil, never an error.
///
/// All methods of all stores throw `ChatError.unavailable` when the store cannot answer.
package protocol TenantStore: Sendable {
    /// The tenant behind a name: its public id, its token, or the token before that, also when that has ended
    /// (`Identity.deprecation`). Nil from the beginning of its deletion on, for all methods. The id never changes;
    /// `MessageBus` tells of a change of the rest.
    func identity(of name: Tenant.Name) async throws -> Tenant.Identity?
    /// Gives the tenant a public id if it has none: servers of earlier versions make rows without one.
    func tenant(_ id: Tenant.ID) async throws -> Tenant?
    /// All tenants in the order of their row ids, after one of them. Costs O(limit). Gives out public ids likewise.
    ///
    /// - Returns: at most `limit`, and whether there are more; nil if there is no tenant `after`.
    func tenants(after: Tenant.PublicID?, limit: Int) async throws -> (tenants: [Tenant], hasMore: Bool)?
    /// Exact: includes every message whose create was answered.
    func messageCount(of id: Tenant.ID) async throws -> Int64?
}

extension TenantStore {
    /// The id behind a token.
    package func id(of token: Tenant.Token) async throws -> Tenant.ID? {
        try await identity(of: .token(token))?.id
    }
}

/// Reads the keys of applications. `TenantLog` changes them.
package protocol KeyStore: Sendable {
    func key(_ id: AccessKey.ID) async throws -> ApplicationKey?
    /// The keys of a tenant, the oldest first: at most `ApplicationKey.most`, and some revoked ones.
    func keys(of tenant: Tenant.ID) async throws -> [ApplicationKey]
}

/// Reads the audit of applications. `TenantChange.audited` writes it.
package protocol AuditStore: Sendable {
    /// The rows of an application, by their ids; also of one that was deleted. Costs O(page).
    func audit(of id: Tenant.PublicID, page: Page) async throws -> PageOf<AuditEntry>
}

/// Reads the users of applications, and the keys of their tokens. `TenantLog` changes them.
package protocol UserStore: Sendable {
    /// What the tokens of a tenant's users rest on; nil if the tenant is gone.
    func tokenKeys(of tenant: Tenant.ID) async throws -> TokenKeyring?
    func user(_ id: User.ID, in tenant: Tenant.ID) async throws -> User?
    /// The users in the order of their ids' bytes. Costs O(limit).
    ///
    /// - Returns: at most `limit`, fewer if they are large (`User.page`), and whether there are more.
    func users(of tenant: Tenant.ID, after user: User.ID?, limit: Int) async throws -> (users: [User], hasMore: Bool)
}

/// Reads chats, always through the tenant that owns them.
package protocol ChatStore: Sendable {
    /// The id behind a number. Immutable, so callers may keep it.
    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID?
    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat?
    /// Costs O(page), wherever the page lies.
    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat>
}

/// Reads messages, always through the chat that holds them. Only `entries`, `lastNumbers` and `tail` include void rows.
package protocol MessageStore: Sendable {
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message?
    /// Costs O(page), wherever the page lies.
    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// Messages whose folded body contains the folded text (`SearchText`), through the blocks of `SearchIndex` and, where
    /// there are none, the rows. Costs O(chat), with a time limit. May block its thread: call it on one of
    /// `Backend.searchExecutors`.
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// The same in all chats of a tenant.
    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits
    /// Exact: includes every message whose create was answered.
    func count(in chat: Chat.ID) async throws -> Int64?
    /// The rows after a number, in order, including void ones, from one snapshot: a number that is skipped between them
    /// was missing. At most `limit.messages` rows; all but the last have less than `limit.bytes` of bodies. Empty only
    /// if there are no rows. One more entry may follow, for void rows after the last row.
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry]
    /// The highest number of each chat, including void ones; chats without rows may be left out. Cheap, for many chats
    /// at once.
    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// The last `LogTail.depth` numbers of a chat. Costs O(depth), and little if none is missing.
    func tail(of chat: Chat.ID) async throws -> LogTail
}

/// Reads of a store in this process that take a few microseconds, so that a caller that must not block can make them.
package protocol LocalReads: Sendable {
    /// - Returns: nil if only the `MessageStore` can read it.
    /// - Throws: `ChatError.notFound` if there is none.
    func messageNow(_ number: Message.Number, in chat: Chat.ID) throws -> Message?
    /// The highest number and revision of a chat; 0 for a chat that is not there.
    ///
    /// - Returns: nil if only the `MessageStore` can read it.
    func headNow(of chat: Chat.ID) throws -> Cursor?
    /// - Returns: nil if only the `MessageStore` can read it, because the bodies are more than `page.bytes`.
    func messagesNow(in chat: Chat.ID, page: Page) throws -> PageOf<Message>?
}

/// What changes chats, a batch at a time.
package protocol ChatLog: Sendable {
    /// Stores the batch in one durable transaction: when this returns, every `success` is on disk.
    ///
    /// Messages of one chat get rising numbers in the order of the batch, each one above the chat's highest. An
    /// idempotency key seen within its lifetime yields the first outcome again and stores nothing.
    ///
    /// - Parameter time: the most time for all attempts; after that requests are answered that the outcome is unknown.
    /// - Returns: one result for each change, of its own case, in the order of the batch; `.notFound` if the chat does
    ///   not exist, `.keyReused`.
    /// - Throws: if the whole batch failed; then nothing of it is stored.
    func apply(
        _ batch: [ChatChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChatChange.Outcome, ChatError>]

    /// Settles numbers: after this each of them has its message, or is void for ever.
    ///
    /// For streams that wait for a number, and for repairs. A writer that was only slow takes another number. If it
    /// throws, some numbers may be settled.
    ///
    /// - Parameter numbers: at most a few thousand, and none above the chat's highest, which would be wasted.
    /// - Throws: `ChatError.notFound` for a chat that is gone.
    func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws
}

/// Creates chats, one batch at a time, under the contract of `ChatLog`.
package protocol NewChatLog: Sendable {
    func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>]
}

/// Changes tenants and their keys, one batch at a time, in one durable transaction each.
package protocol TenantLog: Sendable {
    /// Changes of different tenants, users and chats may be made in another order than that of the batch.
    ///
    /// - Returns: one result for each change, in the order of the batch; `.notFound` if the tenant or the key does not
    ///   exist, `.invalid` for a key past `ApplicationKey.most`. An effect may be said where there is none, if an attempt
    ///   whose outcome was lost may have had it.
    /// - Throws: if the whole batch failed; then nothing of it is stored.
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<TenantChange.Effect, ChatError>]
}

// Without a waiting request, the store's own patience is the limit.

extension ChatLog {
    package func append(
        _ batch: [NewMessage], at now: Timestamp
    ) async throws -> [Result<AppendedMessage, ChatError>] {
        try await apply(batch.map { .message($0) }, at: now, within: .seconds(3600)).map { result in
            result.map { outcome in
                switch outcome {
                case .message(let appended): appended
                }
            }
        }
    }
}

extension NewChatLog {
    package func append(_ batch: [NewChat], at now: Timestamp) async throws -> [Result<AppendedChat, ChatError>] {
        try await append(batch, at: now, within: .seconds(3600))
    }
}

extension TenantLog {
    package func apply(
        _ batch: [TenantChange], at now: Timestamp
    ) async throws -> [Result<TenantChange.Effect, ChatError>] {
        try await apply(batch, at: now, within: .seconds(3600))
    }
}
