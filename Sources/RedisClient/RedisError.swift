/// Why a command has no value.
package enum RedisError: Error, Sendable, Equatable {
    /// Certainly not sent: there is no connection, or too much is in flight.
    case unavailable(reason: String)
    /// Sent, wholly or in part, and then the connection died or the deadline passed: it may have been carried out.
    case outcomeUnknown(reason: String)
    /// Carried out or refused by the server, which answered with this error: `WRONGTYPE Operation against …`.
    case server(String)
    /// Something answers there, or nothing of that name ever will, and trying again will hardly help: a wrong password, a
    /// certificate that is not trusted, a server that is no Redis, an unknown host.
    case unusable(reason: String)
    /// The reply was above the bound. The command was carried out; the connection is closed.
    case tooLarge
}

extension RedisError: CustomStringConvertible {
    /// The first word of a server's error, its code: `WRONGTYPE`. Nil for the other cases.
    package var prefix: Substring? {
        guard case .server(let text) = self else { return nil }
        return text.prefix { $0 != " " }
    }

    package var description: String {
        switch self {
        case .unavailable(let reason): "Redis is unavailable: \(reason)"
        case .unusable(let reason): "Redis cannot be used: \(reason)"
        case .outcomeUnknown(let reason): "Redis did not answer: \(reason)"
        case .server(let text): "Redis answered: \(text)"
        case .tooLarge: "Redis' reply is too large"
        }
    }
}
