/// What a user token says, once it was verified: a JWT (RFC 7519) that an application's own server signs for one user.
///
/// It grants no role: a role in a token could not be taken back.
package struct UserToken: Equatable, Sendable {
    /// Longer ones are refused unread.
    package static let maxLength = 4096
    /// How far the clocks of the signer and of this server may differ, for `exp` and `nbf`.
    package static let leeway = Duration.seconds(60)
    /// How far `iat` may be ahead of this server's clock. It is short, because a revocation must end tokens that far
    /// ahead, and so also refuses those that a user gets so soon after it.
    package static let issueLeeway = Duration.seconds(5)
    /// No setting allows longer lifetimes.
    package static let longestLifetime = Duration.seconds(366 * 86_400)

    package let keyID: UserTokenKey.ID
    /// The public id of the application.
    package let audience: String
    package let user: User.ID
    package let issuedAt: Timestamp
    package let expiresAt: Timestamp
    let notBefore: Timestamp?
    /// The only chats that it is good for, in ascending order; nil for all that the user may see. At most about 750, as
    /// many different ones as fit into a token.
    package let chats: [Chat.Number]?
    /// It was a ticket.
    package var isReadOnly = false

    /// Whether it is good for a chat. It never makes a chat visible that the user may not see.
    package func includes(_ chat: Chat.Number) -> Bool {
        guard let chats else { return true }
        var (low, high) = (0, chats.count)
        while low < high {
            let middle = (low + high) / 2
            if chats[middle] < chat { low = middle + 1 } else { high = middle }
        }
        return low < chats.count && chats[low] == chat
    }
}

/// What may have changed since a token was signed. A process holds it in memory, and looks at each use of a token.
package protocol UserTokenAuthority: Sendable {
    /// The application's key with this id, a revoked one too; nil if it has none.
    func key(_ id: UserTokenKey.ID) -> UserTokenKey?

    func standing(of user: User.ID) -> UserStanding
}

/// What an application has decided about a user.
package struct UserStanding: Equatable, Sendable {
    package var isBlocked: Bool
    /// When the user's tokens were revoked, in whole seconds, as `iat` is: those issued then or before are refused, and
    /// those of the next `UserToken.issueLeeway`. The later of the user's and of the application's.
    package var validAfter: Timestamp?

    package init(isBlocked: Bool = false, validAfter: Timestamp? = nil) {
        self.isBlocked = isBlocked
        self.validAfter = validAfter
    }
}
