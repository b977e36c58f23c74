import Foundation

/// The engine's address and credentials.
package struct EngineConfiguration: Sendable, Equatable {
    /// The problem of a setting, in one sentence. It quotes nothing, because a misplaced character can make any part of a
    /// URL a part of the password.
    package struct Invalid: Error, Equatable, CustomStringConvertible {
        package enum Part: Sendable { case url, apiKey, index }

        package let part: Part
        package let description: String

        init(_ part: Part, _ description: String) {
            self.part = part
            self.description = description
        }
    }

    package let isSecure: Bool
    /// A name or an address, without brackets.
    package let host: String
    package let port: Int
    /// The value of the Host header.
    let authority: String
    /// The engine's path on that host: empty, or without a slash at its end.
    let path: String
    /// The value of the Authorization header.
    let authorization: String?
    /// The alias, and the beginning of the names of indexes.
    package let index: String
    /// The time limits of a search, and of other requests.
    package var searchTimeout = Duration.seconds(1)
    package var timeout = Duration.seconds(30)

    /// - Parameters:
    ///   - url: `http[s]://[user:password@]host[:port][/path]`; user and password may be percent-encoded.
    ///   - apiKey: as the engine shows it, in base64; empty for none.
    ///   - index: lower-case letters, digits, hyphens and underscores.
    package init(url: String, apiKey: String = "", index: String = "luciq") throws(Invalid) {
        guard let scheme = ["http", "https"].first(where: { url.lowercased().hasPrefix($0 + "://") }) else {
            throw Invalid(.url, "The URL must start with http:// or https://.")
        }
        isSecure = scheme == "https"
        let rest = url.dropFirst(scheme.utf8.count + 3)
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        // A password may have an unencoded slash by mistake: then the @ comes after it.
        guard !rest[end...].contains("@") else {
            throw Invalid(.url, "User and password must be percent-encoded, as in user:p%2Fw@host.")
        }
        guard !rest.contains(where: { "?#".contains($0) }) else {
            throw Invalid(.url, "The URL must have no query and no fragment.")
        }
        path = String(rest[end...].reversed().drop { $0 == "/" }.reversed())
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(.url, "The URL's path must be percent-encoded.")
        }
        let at = rest[..<end].lastIndex(of: "@")
        let place = at.map { rest[rest.index(after: $0)..<end] } ?? rest[..<end]
        guard let match = place.wholeMatch(of: /(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?/) else {
            throw Invalid(.url, "The URL needs a host, as in https://search.example.com:9200.")
        }
        host = String(match.1 ?? match.2 ?? "")
        port = match.3.map { Int($0) ?? 0 } ?? (isSecure ? 443 : 80)
        guard 1...65_535 ~= port else { throw Invalid(.url, "The URL's port must be from 1 to 65535.") }
        authority = String(place)
        let credentials = try at.map { (at) throws(Invalid) in try Self.credentials(rest[..<at]) }
        guard apiKey.isEmpty || credentials == nil else {
            throw Invalid(.apiKey, "Give either a user and password or an API key, not both.")
        }
        guard apiKey.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(.apiKey, "The API key must be the encoded one, in base64.")
        }
        authorization =
            credentials.map { "Basic " + Data($0.utf8).base64EncodedString() }
            ?? (apiKey.isEmpty ? nil : "ApiKey \(apiKey)")
        guard index.wholeMatch(of: /[a-z0-9][a-z0-9_-]{0,99}/) != nil else {
            throw Invalid(.index, "The index must be 1 to 100 lower-case letters, digits, hyphens and underscores.")
        }
        self.index = index
    }

    /// - Returns: `user:password`, decoded.
    private static func credentials(_ text: Substring) throws(Invalid) -> String {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw Invalid(.url, "A user needs a password, as in user:password@host.")
        }
        guard let user = parts[0].removingPercentEncoding, let password = parts[1].removingPercentEncoding,
            !user.contains(":")
        else { throw Invalid(.url, "The percent-encoding of user and password is broken.") }
        return "\(user):\(password)"
    }
}

extension EngineConfiguration: CustomStringConvertible {
    /// The URL without credentials.
    package var description: String { "\(isSecure ? "https" : "http")://\(authority)\(path)" }
}

extension EngineConfiguration: CustomDebugStringConvertible, CustomReflectable {
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}
