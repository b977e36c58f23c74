import ChatCore

/// How far users have read: a mark is a write; what is read passes the gate with the rest of its request.
extension FaultyBackend: ReadStates {
    func mark(_ batch: [ReadMark], within time: Duration) async throws -> [Result<MarkedRead, ChatError>] {
        try await write { try await $0.reads.mark(batch, within: time) }
    }
    func readNumbers(of user: User.ID, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await inner.reads.readNumbers(of: user, in: chats)
    }
    func receipts(of users: [User.ID], in chat: Chat.ID) async throws -> [User.ID: Int64] {
        try await inner.reads.receipts(of: users, in: chat)
    }
    func chatHeads(of chats: [Chat.ID]) async throws -> [Chat.ID: ChatHead] {
        try await inner.reads.chatHeads(of: chats)
    }
    func tailRows(of chat: Chat.ID, numbers: ClosedRange<Int64>) async throws -> [TailRow] {
        try await inner.reads.tailRows(of: chat, numbers: numbers)
    }
    func inbox(of user: User.ID, in tenant: Tenant.ID, limit: Int) async throws -> [InboxEntry] {
        try await inner.reads.inbox(of: user, in: tenant, limit: limit)
    }
    func chats(_ ids: [Chat.ID]) async throws -> [Chat.ID: Chat] { try await inner.reads.chats(ids) }
    func messages(_ numbers: [Chat.ID: Message.Number]) async throws -> [Chat.ID: Message] {
        try await inner.reads.messages(numbers)
    }
}
