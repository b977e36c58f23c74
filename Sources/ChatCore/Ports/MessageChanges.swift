/// Changes messages that are stored, and reads what has changed.
///
/// A change takes a revision: the next number of its chat's head (`chat_heads`), whose row is locked from then until the
/// commit. So revisions are dense, and in the order of the commits. Creates do not touch that row.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol MessageChanges: Sendable {
    /// Carries out the batch in one durable transaction: when this returns, every `success` is on disk. Changes of one chat
    /// take rising revisions in the order of the batch, and one update of the chat's head. An idempotency key seen within
    /// its lifetime yields the message as it is now, and changes nothing.
    ///
    /// A deletion reaches all `MessageRemains`. A message whose reactions change is stored once, however many change, and
    /// the outcomes have it as it is then.
    ///
    /// - Parameter time: the most time for all attempts; after that requests are answered that the outcome is unknown.
    /// - Returns: one result for each change, in the order of the batch; `.notFound` if the chat or the message does not
    ///   exist, `.keyReused`, and the errors of `MessageChange.decide`.
    /// - Throws: if the whole batch failed; then nothing of it is stored.
    func revise(
        _ batch: [MessageChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChangedMessage, ChatError>]
    /// The highest revision of each chat, without chats of which nothing has changed. Cheap, for many chats at once.
    func revisions(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// The things whose last change lies after one revision and up to another, in the order of these changes. Costs
    /// O(limit).
    func changes(
        in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int
    ) async throws -> [ChangedItem]
    /// A chat's messages with these numbers, without those that do not exist.
    func messages(_ numbers: [Message.Number], in chat: Chat.ID) async throws -> [Message.Number: Message]
    /// The replaced contents of a message by their revisions, without those that were replaced before a time. Costs O(page).
    func versions(
        of number: Message.Number, in chat: Chat.ID, page: Page, since time: Timestamp
    ) async throws -> PageOf<MessageVersion>
    /// The users who have reacted to a message with a name, in the order of their reactions' revisions. Costs O(page).
    func users(
        reacting name: Reaction.Name, to number: Message.Number, in chat: Chat.ID, page: Page
    ) async throws -> PageOf<ReactingUser>
    /// The pins of a chat, by their messages' numbers; a few more than `Pin.most` at worst.
    func pins(of chat: Chat.ID) async throws -> [Pin]
    /// How many of a chat's messages with these numbers were deleted. Costs O(1) for all numbers, else as much as there are
    /// changed ones among them.
    func deletedCount(in chat: Chat.ID, of numbers: NumberSpan) async throws -> Int64
    /// Deletes contents that were replaced longer ago than they are kept, the oldest first. Costs O(limit).
    ///
    /// - Returns: whether there may be more.
    func expireVersions(by rules: EditRules, at now: Timestamp, limit: Int) async throws -> Bool
}
