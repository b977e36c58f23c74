/// Reads threads, through the chat that holds them. `ChatLog` stores a reply with its place in its thread.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol ThreadStore: Sendable {
    /// The replies of a thread, by number. Costs O(page).
    func replies(to root: Message.Number, in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// The summaries of some threads, without those that have no reply.
    func threads(_ roots: [Message.Number], in chat: Chat.ID) async throws -> [Message.Number: ThreadSummary]
}
