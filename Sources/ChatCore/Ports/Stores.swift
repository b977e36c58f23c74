/// What reads tenants. Absence is nil, never an error.
///
/// All methods of all stores throw `ChatError.unavailable` when the store cannot answer.
package protocol TenantStore: Sendable {
    /// The id behind a token. Immutable, so callers may keep it.
    func id(of token: Tenant.Token) async throws -> Tenant.ID?
    func tenant(_ id: Tenant.ID) async throws -> Tenant?
    /// Exact: includes every message whose create was answered.
    func messageCount(of id: Tenant.ID) async throws -> Int64?
}

/// What reads chats, always through the tenant that owns them.
package protocol ChatStore: Sendable {
    /// The id behind a number. Immutable, so callers may keep it.
    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID?
    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat?
    /// Costs O(page), wherever the page lies.
    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat>
}

/// What reads messages, always through the chat that holds them. Void rows are seen by `entries`, `lastNumbers` and `tail` only.
package protocol MessageStore: Sendable {
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message?
    /// Costs O(page), wherever the page lies.
    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// Messages whose folded body contains the folded text (`SearchText`). Costs O(chat); gives up after a while.
    func search(_ text: SearchText, in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// Exact: includes every message whose create was answered.
    func count(in chat: Chat.ID) async throws -> Int64?
    /// The rows after a number, in order, void ones included, as they were at one moment: a number below the last of them
    /// that is not among them was missing. At most `limit.messages`, and with all but the last less than `limit.bytes` of
    /// bodies; none only when there is none. After them there may be one entry more, for void rows that follow the last.
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry]
    /// The highest number of each chat, void ones included; chats without any may be left out. Cheap, for many chats at once.
    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// The last `LogTail.depth` numbers of a chat. Costs O(depth), and little where none is missing.
    func tail(of chat: Chat.ID) async throws -> LogTail
}

/// Short reads of a store in this process, for a caller that may not wait: a few microseconds, on its own thread.
package protocol LocalReads: Sendable {
    /// - Returns: nil where it must be read by the `MessageStore`.
    /// - Throws: `ChatError.notFound` when there is none.
    func messageNow(_ number: Message.Number, in chat: Chat.ID) throws -> Message?
    /// - Returns: nil where it must be read by the `MessageStore`: the bodies are more than `page.bytes`.
    func messagesNow(in chat: Chat.ID, page: Page) throws -> PageOf<Message>?
}

/// What changes chats, a batch at a time.
package protocol ChatLog: Sendable {
    /// Stores the batch in one durable transaction: when this returns, every `success` is on disk.
    ///
    /// Messages of one chat get rising numbers in the order of the batch, each one above the chat's highest. An
    /// idempotency key seen within its lifetime yields the first outcome again and stores nothing.
    ///
    /// - Parameter time: how long it may be tried at most; after that somebody is told that nobody knows.
    /// - Returns: one result a change, of its own case, in the order of the batch; `.notFound` for a chat that is gone,
    ///   `.keyReused`.
    /// - Throws: when the whole batch failed; then nothing of it is stored.
    func apply(
        _ batch: [ChatChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChatChange.Outcome, ChatError>]

    /// Makes sure of numbers: after this each of them holds its message, or is void for ever.
    ///
    /// For whoever must know (a stream waiting for one, a repair). A writer that was merely slow takes another number. It
    /// may be done in part when it throws.
    ///
    /// - Parameter numbers: at most a few thousand, none above the chat's highest: they would be spent.
    /// - Throws: `ChatError.notFound` for a chat that is gone.
    func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws
}

/// What creates chats, a batch at a time, under the contract of `ChatLog`.
package protocol NewChatLog: Sendable {
    func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>]
}

/// What creates and renames tenants, a batch at a time, in one durable transaction each.
package protocol TenantLog: Sendable {
    /// - Returns: one result a change, in the order of the batch; `.notFound` for a tenant that is gone.
    /// - Throws: when the whole batch failed; then nothing of it is stored.
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<Void, ChatError>]
}

// Where nobody waits, the store's own patience is the limit.

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
    package func apply(_ batch: [TenantChange], at now: Timestamp) async throws -> [Result<Void, ChatError>] {
        try await apply(batch, at: now, within: .seconds(3600))
    }
}
