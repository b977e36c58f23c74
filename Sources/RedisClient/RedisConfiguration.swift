/// Where Redis is and how to talk to it.
package struct RedisConfiguration: Sendable, Equatable {
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        package var host: String
        package var port: Int

        package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    package enum Place: Sendable, Equatable {
        case server(Endpoint)
        /// Sentinels know which server is the primary of that name.
        case sentinels([Endpoint], primary: String)
    }

    package struct TLS: Sendable, Equatable {
        package enum Verification: String, Sendable, CaseIterable {
            /// The certificate must be signed by a known CA, and name the host.
            case full
            /// The certificate must be signed by a known CA.
            case ca
            /// Any certificate will do: safe from listeners, not from impostors.
            case none
        }

        package var verification = Verification.full
        /// Path of a PEM file with CA certificates; nil for the system's.
        package var authorities: String?
        /// Paths of PEM files: the certificate (chain) and the key this side shows.
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
    /// A reply slower than this means that the connection is dead.
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
