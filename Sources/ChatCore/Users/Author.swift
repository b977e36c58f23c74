/// Who makes a change, as far as the store checks it in the change's own transaction: once a block or a revocation is
/// answered, nothing of that user is stored any more.
package enum Author: Hashable, Sendable {
    /// A key of the application or of the server, or the path's token: nothing is checked.
    case application
    /// A user with a token of that `iat`.
    case user(User.ID, tokenIssuedAt: Timestamp)

    package var user: User.ID? {
        if case .user(let id, _) = self { id } else { nil }
    }

    /// - Parameter standing: of the user; nil if the user has no row, which one with a verified token has.
    package func refusal(_ standing: UserStanding?) -> ChatError? {
        guard case .user(_, let issuedAt) = self else { return nil }
        // Another database server has come into use, where the row is missing. The next request stores it again.
        guard let standing else { return .unavailable(reason: "The user is not stored yet") }
        do throws(UserTokenRefusal) {
            try standing.check(issuedAt)
            return nil
        } catch {
            return ChatError(error)
        }
    }
}
