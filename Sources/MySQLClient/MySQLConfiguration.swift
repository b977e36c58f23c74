package import Scheduling

/// The database's address and the connections' options.
package struct MySQLConfiguration: Sendable, Equatable, CustomStringConvertible {
    /// What is wrong with a URL, in one sentence that quotes no secret.
    package struct Invalid: Error, CustomStringConvertible, Equatable {
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// The required encryption.
    ///
    /// Only `verifyIdentity` stops a man in the middle who pretends that the server has no TLS: the library sends the
    /// (hashed) password before the other modes can check. Use it across networks that are not trusted.
    package enum TLSMode: String, Sendable {
        case disabled
        /// Encrypted if the server supports it. Never on a Unix socket.
        case preferred
        case required
        /// Encrypted, with a certificate signed by `tlsCA` and any names.
        case verifyCA = "verify-ca"
        /// The certificate must also have the host's name or address. Without `tlsCA` the system's CAs count.
        case verifyIdentity = "verify-identity"
    }

    package var host = "127.0.0.1"
    package var port = 3306
    /// The path of a Unix socket, instead of host and port.
    package var socket: String?
    package var user: String
    package var password: String
    /// May be empty: no database is selected.
    package var database: String
    package var tlsMode = TLSMode.preferred
    /// Paths of PEM files. A given CA is checked in every mode that encrypts.
    package var tlsCA, tlsCertificate, tlsKey: String?
    /// Rounded up to whole seconds. The read and write time-outs apply to each wait, not to a whole statement: the
    /// connection is lost if the server works longer without sending anything.
    package var connectTimeout = Duration.seconds(5)
    package var readTimeout = Duration.seconds(10)
    package var writeTimeout = Duration.seconds(10)
    /// Of the connections' threads.
    package var priority = ThreadExecutor.Priority.normal

    package init(
        host: String = "127.0.0.1", port: Int = 3306, user: String, password: String = "", database: String = ""
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
    }

    /// The URL without the password.
    package var description: String {
        if let socket { return "mysql://\(user)@localhost/\(database)?socket=\(socket)" }
        return "mysql://\(user)@\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
    }
}
