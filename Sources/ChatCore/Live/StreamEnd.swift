/// Why a subscription has ended.
package enum StreamEnd: Error, Equatable, Sendable {
    /// The reader was too far behind what is new. It goes on from its cursor when it comes back.
    case slowConsumer
    /// The process is going away.
    case goingAway
    /// The chat is gone.
    case notFound
    /// By the reader itself.
    case cancelled

    /// Part of the contract with clients, as `ChatError.code` is.
    package var code: String {
        switch self {
        case .slowConsumer: "slow_consumer"
        case .goingAway: "going_away"
        case .notFound: "not_found"
        case .cancelled: "cancelled"
        }
    }

    /// Whether subscribing again from the last cursor makes sense.
    package var mayReconnect: Bool {
        switch self {
        case .slowConsumer, .goingAway: true
        case .notFound, .cancelled: false
        }
    }
}
