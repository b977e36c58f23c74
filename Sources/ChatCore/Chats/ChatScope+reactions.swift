extension ChatScope {
    /// The user for whom the principal acts: a user for itself, the application for the one that it names.
    ///
    /// - Throws: `ChatError.invalid` for an application that names nobody; `.insufficientRole` for a user who names somebody
    ///   else.
    func actor(_ named: User.ID?) throws(ChatError) -> User.ID {
        switch tenant.access.principal {
        case .admin, .applicationKey, .pathToken:
            guard let named else { throw .invalid(["User must be given: for whom the application does it"]) }
            return named
        case .user(_, let user):
            guard named == nil || named == user else { throw .insufficientRole }
            return user
        }
    }

    private func reactionName(_ text: String?) throws(ChatError) -> Reaction.Name {
        guard let name = text.flatMap({ Reaction.Name($0) }) else {
            throw .invalid([
                "Name of a reaction must be 1 to \(Reaction.Name.maxLength) bytes without control characters"
            ])
        }
        return name
    }

    /// A user's reaction to a message, or that it takes it back, for `submit`: the outcome has the message's reactions as
    /// they are then.
    ///
    /// - Parameter user: for whom the application does it.
    /// - Throws: `ChatError.notFound`, `.notAllowed`, `.insufficientRole`, `.invalid`.
    package func reacting(
        to number: Substring, with name: String?, as user: User.ID? = nil, isTakenBack: Bool = false
    ) throws(ChatError) -> MessageChange {
        try tenant.access.require(.write)
        let reaction = Reaction(try reactionName(name), by: try actor(user), isTakenBack: isTakenBack)
        return try change(number, .react(reaction))
    }

    /// The users who have reacted to a message with a name.
    ///
    /// - Throws: `ChatError.notFound`, `.invalid`.
    package func users(
        reacting name: String?, to number: Substring, _ page: Page
    ) async throws -> PageOf<ReactingUser> {
        let name = try reactionName(name)
        let message = try await message(number)
        return try await tenant.service.backend.changes.users(
            reacting: name, to: message.number, in: id, page: page)
    }
}
