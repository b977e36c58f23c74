/// All tenants, for a holder of the server's own key.
package struct AdminScope: Sendable {
    let service: ChatService

    /// - Returns: at most `limit` tenants in the order of their creation, after the one with that id, and whether there
    ///   are more.
    /// - Throws: `ChatError.invalid` if there is no such id.
    package func tenants(
        after id: Tenant.PublicID?, limit: Int
    ) async throws -> (tenants: [Tenant], hasMore: Bool) {
        guard let page = try await service.backend.tenants.tenants(after: id, limit: limit) else {
            throw ChatError.invalid(["After must be the id of an application"])
        }
        return page
    }
}
