extension ChatScope {
    /// Tells who is there that a user writes. At most once in a while for each user, and nothing is stored.
    ///
    /// - Parameter user: for whom the application does it.
    /// - Throws: `ChatError.notAllowed`, `.insufficientRole`, `.invalid`.
    package func type(as user: String? = nil) throws(ChatError) {
        try tenant.access.require(.write)
        try standing?.checkMayWrite()
        let user = try actor(user)
        let service = tenant.service
        guard service.typing.mayTell(of: user, in: id) else { return }
        service.hub.bus.publish(.typing(user), in: id)
    }
}
