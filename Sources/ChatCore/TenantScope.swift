/// What one tenant may see and do.
package struct TenantScope: Sendable {
    package let id: Tenant.ID
    package let token: Tenant.Token
    let service: ChatService

    /// - Throws: `ChatError.notFound` if it is gone.
    package func details() async throws -> Tenant {
        guard let tenant = try await service.backend.tenants.tenant(id) else { throw ChatError.notFound }
        return tenant
    }

    /// - Throws: `ChatError.invalid` for a bad name; what `GroupCommit.submit` throws.
    package func rename(to name: String) async throws {
        try Text.checkName(name)
        try await service.tenantWriter.submit(.rename(id, name: name))
    }

    /// Exact the moment a create is answered.
    package func messageCount() async throws -> Int64 {
        guard let count = try await service.backend.tenants.messageCount(of: id) else { throw ChatError.notFound }
        return count
    }

    /// Creates the next chat; durable when this returns.
    ///
    /// - Throws: what `GroupCommit.submit` throws.
    package func createChat(key: IdempotencyKey? = nil) async throws -> AppendedChat {
        let chat = try await service.chatWriter.submit(NewChat(tenant: id, key: key))
        if let chatID = chat.id { service.chatIDs[ChatAddress(tenant: id, number: chat.number)] = chatID }
        return chat
    }

    package func chats(_ page: Page) async throws -> PageOf<Chat> {
        try await service.backend.chats.chats(in: id, page: page)
    }

    /// The chat with that number.
    ///
    /// - Throws: `ChatError.notFound` when this tenant has none, or `number` is not a number.
    package func chat(_ number: Substring) async throws -> ChatScope {
        guard let number = Chat.Number(digits: number) else { throw ChatError.notFound }
        let address = ChatAddress(tenant: id, number: number)
        if let id = service.chatIDs[address] { return ChatScope(id: id, number: number, tenant: self) }
        guard let id = try await service.backend.chats.id(of: number, in: id) else { throw ChatError.notFound }
        service.chatIDs[address] = id
        return ChatScope(id: id, number: number, tenant: self)
    }
}
