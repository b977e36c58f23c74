/// Where the database is and how to talk to it.
package struct MySQLConfiguration: Sendable, Equatable, CustomStringConvertible {
    /// What is wrong with a URL, in one sentence that quotes no secret.
    package struct Invalid: Error, CustomStringConvertible, Equatable {
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// How much is asked of the encryption.
    ///
    /// Only `verifyIdentity` stops a man in the middle who pretends that the server has no TLS: the library sends
    /// the (hashed) password before the other modes can look. It is what to use across a network that is not trusted.
    package enum TLSMode: String, Sendable {
        case disabled
        /// Where the server has it. Never on a Unix socket.
        case preferred
        case required
        /// Encrypted, and the certificate is signed by `tlsCA`, whatever its names.
        case verifyCA = "verify-ca"
        /// The certificate has the host's name or address as well. Without `tlsCA` the system's authorities count.
        case verifyIdentity = "verify-identity"
    }

    package var host = "127.0.0.1"
    package var port = 3306
    /// The path of a Unix socket, instead of host and port.
    package var socket: String?
    package var user: String
    package var password: String
    /// May be empty: none is chosen.
    package var database: String
    package var tlsMode = TLSMode.preferred
    /// Paths of PEM files. An authority given here is checked in every mode that encrypts.
    package var tlsCA, tlsCertificate, tlsKey: String?
    /// Whole seconds count, rounded up. The read and write time-outs are for each wait, not for a whole statement: one
    /// that the server works on for longer without a word is lost.
    package var connectTimeout = Duration.seconds(5)
    package var readTimeout = Duration.seconds(10)
    package var writeTimeout = Duration.seconds(10)

    package init(
        host: String = "127.0.0.1", port: Int = 3306, user: String, password: String = "", database: String = ""
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
    }

    /// As a URL without the password.
    package var description: String {
        if let socket { return "mysql://\(user)@localhost/\(database)?socket=\(socket)" }
        return "mysql://\(user)@\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
    }
}
