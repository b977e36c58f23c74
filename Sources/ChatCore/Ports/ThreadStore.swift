/// Reads threads, through the chat that holds them. `ChatLog` stores a reply with its place in its thread.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol ThreadStore: Sendable {
    /// The replies of a thread, by number. Costs O(page).
    func replies(to root: Message.Number, in chat: Chat.ID, page: Page) async throws -> PageOf<Message>
    /// The summaries of some threads, without those that have no reply.
    func threads(_ roots: [Message.Number], in chat: Chat.ID) async throws -> [Message.Number: ThreadSummary]
}

extension ThreadStore {
    /// The summaries for replies that lack theirs; one query for all of them, and none if there are none. Read after the
    /// messages, so that each summary counts its replies.
    func threads(
        of messages: some Sequence<Message>, in chat: Chat.ID
    ) async throws -> [Message.Number: ThreadSummary] {
        let roots = Set(messages.compactMap { $0.lacksRoot ? $0.content.thread : nil })
        return roots.isEmpty ? [:] : try await threads(roots.sorted(), in: chat)
    }
}
