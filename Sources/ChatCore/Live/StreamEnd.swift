/// Why a subscription has ended.
package enum StreamEnd: Error, Equatable, CaseIterable, Sendable {
    /// The reader fell too far behind. It can reconnect and resume from its cursor.
    case slowConsumer
    /// The process is shutting down, or the reader must look up its chat again.
    case goingAway
    /// The chat no longer exists.
    case notFound
    /// The reader's token was revoked.
    case revoked
    /// The reader's token has expired.
    case expired
    /// The reader's user was blocked.
    case blocked
    /// The reader left.
    case cancelled

    /// The code for the client; nil if the client left.
    package var closeCode: CloseCode? {
        switch self {
        case .slowConsumer: .slowConsumer
        case .goingAway: .goingAway
        case .notFound: .notFound
        case .revoked: .tokenRevoked
        case .expired: .tokenExpired
        case .blocked: .notAllowed
        case .cancelled: nil
        }
    }

    /// The label in metrics.
    package var name: String { closeCode?.name ?? "cancelled" }
}
