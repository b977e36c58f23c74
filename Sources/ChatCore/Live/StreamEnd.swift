/// Why a subscription has ended.
package enum StreamEnd: Error, Equatable, Sendable {
    /// The reader was too far behind what is new. It goes on from its cursor when it comes back.
    case slowConsumer
    /// The process is going away.
    case goingAway
    /// The chat is gone.
    case notFound
    /// Who reads may not do so any more.
    case revoked
    /// By the reader itself.
    case cancelled

    /// What the client is told; nil when it was the client that left.
    package var closeCode: CloseCode? {
        switch self {
        case .slowConsumer: .slowConsumer
        case .goingAway: .goingAway
        case .notFound: .notFound
        case .revoked: .tokenRevoked
        case .cancelled: nil
        }
    }

    /// As metrics name it.
    package var name: String { closeCode?.name ?? "cancelled" }
}
