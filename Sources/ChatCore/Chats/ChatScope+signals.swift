extension ChatScope {
    /// Tells who is there that a user writes. At most once in a while for each user, and nothing is stored.
    ///
    /// - Parameter name: the user for whom the application does it.
    /// - Throws: `ChatError.notAllowed`; what `reader(named:)` throws.
    package func type(as name: User.ID? = nil) async throws {
        try tenant.access.require(.write)
        try standing?.checkMayWrite()
        let user = try await reader(named: name).user
        let service = tenant.service
        guard service.typing.mayTell(of: user, in: id) else { return }
        service.hub.bus.publish([.typing(user)], in: id)
    }
}
