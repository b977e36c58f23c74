import Foundation

/// The address of a server.
package struct ServerAddress: Sendable {
    /// The arguments are not an address.
    package struct Invalid: Error, Equatable {
        package let sentence: String

        package init(sentence: String) { self.sentence = sentence }
    }

    package static let standard = "http://127.0.0.1:3000"

    /// The server's URL, without a slash at its end: `https://chat.example.com`, `http://127.0.0.1:3000/prefix`.
    package let base: String
    package let isSecure: Bool
    /// A name or an address, without brackets.
    package let host: String
    package let port: Int
    /// The value of the Host header.
    package let authority: String
    /// The server's path on that host: empty, or without a slash at its end.
    package let path: String

    /// - Parameter url: http or https; with a path if a proxy serves it there.
    package init(url: String) throws(Invalid) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty
        else {
            throw Invalid(
                sentence: "The server's URL must look like http://127.0.0.1:3000 or https://chat.example.com.")
        }
        guard parts.query == nil, parts.fragment == nil, parts.user == nil, parts.password == nil else {
            throw Invalid(sentence: "The server's URL must have no user, no query and no fragment.")
        }
        if let port = parts.port, !(1...65_535).contains(port) {
            throw Invalid(sentence: "The server's URL must have a port from 1 to 65535.")
        }
        base = String(url.reversed().drop { $0 == "/" }.reversed())
        isSecure = scheme == "https"
        self.host = host.trimmingCharacters(in: ["[", "]"])
        port = parts.port ?? (isSecure ? 443 : 80)
        authority = parts.port.map { "\(host):\($0)" } ?? host
        path = String(parts.percentEncodedPath.reversed().drop { $0 == "/" }.reversed())
    }
}
