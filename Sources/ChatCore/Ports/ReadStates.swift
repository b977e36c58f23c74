/// How far users have read chats, and what a count of the rest needs.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol ReadStates: Sendable {
    /// Stores a batch in one durable transaction. The store decides by its own row, locked: two processes never move it
    /// back. Marks of one user in one chat may be made in another order than that of the batch. Each can be repeated.
    ///
    /// - Parameter time: the most time for all attempts; after that requests are answered that the outcome is unknown.
    /// - Returns: what is stored after each mark, in the order of the batch; `.notFound` if the chat is gone,
    ///   `.readElsewhere`.
    /// - Throws: if the whole batch failed; then nothing of it is stored.
    func mark(_ batch: [ReadMark], within time: Duration) async throws -> [Result<MarkedRead, ChatError>]
    /// Up to where a user has read some chats, without those where it never said. Cheap, for many chats at once.
    func readNumbers(of user: User.ID, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// Up to where some users have read one chat, as others see it: the highest number that was ever stored, without
    /// those who never said.
    func receipts(of users: [User.ID], in chat: Chat.ID) async throws -> [User.ID: Int64]
    /// The ends of chats, by one query; the revision is read before the number. Chats without rows may be left out.
    func chatHeads(of chats: [Chat.ID]) async throws -> [Chat.ID: ChatHead]
    /// The rows of some numbers, void ones included, ascending. Costs O(numbers): at most a thousand.
    func tailRows(of chat: Chat.ID, numbers: ClosedRange<Int64>) async throws -> [TailRow]
    /// The chats whose member a user is, those with the highest numbers first; at most `limit`. Without the banned.
    func inbox(of user: User.ID, in tenant: Tenant.ID, limit: Int) async throws -> [InboxEntry]
    /// Chats by their ids, with a `messagesCount` of 0.
    func chats(_ ids: [Chat.ID]) async throws -> [Chat.ID: Chat]
    /// Messages of different chats, without those that do not exist; at most one a chat and 16.
    func messages(_ numbers: [Chat.ID: Message.Number]) async throws -> [Chat.ID: Message]
}
