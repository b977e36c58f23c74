/// Redis' address and the connections' options.
package struct RedisConfiguration: Sendable, Equatable {
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    package enum Place: Sendable, Equatable {
        case server(Endpoint)
        /// Sentinels, which report the primary of this name.
        case sentinels([Endpoint], primary: String)
    }

    package struct TLS: Sendable, Equatable {
        package enum Verification: String, Sendable, CaseIterable {
            /// The certificate must be signed by a known CA, and name the host.
            case full
            /// The certificate must be signed by a known CA.
            case ca
            /// Any certificate is accepted: protects against listeners, but not against impostors.
            case none
        }

        package var verification = Verification.full
        /// Path of a PEM file with CA certificates; nil for the system's.
        package var authorities: String?
        /// Paths of PEM files: the client's certificate (chain) and key.
        package var certificate: String?
        package var key: String?
    }

    package var place: Place
    package var user: String?
    package var password: String?
    package var sentinelPassword: String?
    package var database = 0
    /// Nil for plain TCP. Sentinels are always asked by plain TCP.
    package var tls: TLS?
    /// A connection whose reply takes longer counts as dead.
    package var commandTimeout = Duration.seconds(1)
    /// For TCP, TLS and the first commands of a connection together.
    package var connectTimeout = Duration.seconds(3)
}

extension RedisConfiguration: CustomStringConvertible {
    /// The URL without secrets and options.
    package var description: String {
        switch place {
        case .server(let endpoint): "\(tls == nil ? "redis" : "rediss")://\(endpoint)/\(database)"
        case .sentinels(let sentinels, let primary):
            "redis+sentinel://\(sentinels.map(\.description).joined(separator: ","))/\(primary)/\(database)"
        }
    }
}
