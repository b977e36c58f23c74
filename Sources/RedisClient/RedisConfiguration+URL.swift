import Foundation

extension RedisConfiguration {
    /// The problem of a URL, in one sentence. It quotes nothing, because a misplaced character can make any part of the
    /// URL a part of the password.
    package struct Invalid: Error, Equatable, CustomStringConvertible {
        package let description: String

        init(_ description: String) { self.description = "The Redis URL is invalid: \(description)." }
    }

    /// Reads one of
    /// - `redis://[user][:password]@host[:port][/database]`
    /// - `rediss://…`, the same by TLS, with the options `ca`, `cert`, `key` (paths) and `verify=full|ca|none`
    /// - `redis+sentinel://[user][:password]@host[:port],…/primary[/database]`, with the option `sentinel-password`
    ///
    /// and the options `command-timeout` and `connect-timeout` in seconds. User, password, name and options may be
    /// percent-encoded.
    package init(url: String) throws(Invalid) {
        guard let scheme = url.firstRange(of: "://") else { throw Invalid("it must start with redis://") }
        var rest = url[scheme.upperBound...]
        let query = Self.cut(&rest, at: rest.firstIndex(of: "?"))
        let path = Self.cut(&rest, at: rest.firstIndex(of: "/"))
        var credentials: Substring?
        if let at = rest.lastIndex(of: "@") {
            credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
        }
        let steps = (path ?? "").split(separator: "/", omittingEmptySubsequences: false)
        switch url[..<scheme.lowerBound] {
        case "redis", "rediss":
            place = .server(try Self.endpoint(rest, defaultPort: 6379))
            if url.hasPrefix("rediss") { tls = TLS() }
            guard steps.count <= 1 else { throw Invalid("after the host only /database may come") }
            database = try Self.database(steps.first)
        case "redis+sentinel":
            var sentinels: [Endpoint] = []
            for host in rest.split(separator: ",", omittingEmptySubsequences: false) {
                sentinels.append(try Self.endpoint(host, defaultPort: 26379))
            }
            guard let name = steps.first, !name.isEmpty, steps.count <= 2 else {
                throw Invalid("after the sentinels the primary's name must come, as in /name or /name/database")
            }
            place = .sentinels(sentinels, primary: try Self.decode(name))
            database = try Self.database(steps.dropFirst().first)
        case "rediss+sentinel": throw Invalid("sentinels are not supported by TLS")
        default: throw Invalid("it must start with redis://, rediss:// or redis+sentinel://")
        }
        if let credentials { try readCredentials(credentials) }
        for option in (query ?? "").split(separator: "&") { try readOption(option) }
        if (tls?.certificate == nil) != (tls?.key == nil) { throw Invalid("cert and key must come together") }
    }

    private mutating func readCredentials(_ text: Substring) throws(Invalid) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        if let name = parts.first, !name.isEmpty { user = try Self.decode(name) }
        if parts.count == 2, !parts[1].isEmpty { password = try Self.decode(parts[1]) }
        if user != nil, password == nil { throw Invalid("a user needs a password, as in user:password@host") }
    }

    private mutating func readOption(_ option: Substring) throws(Invalid) {
        let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let value = parts.count == 2 ? try Self.decode(parts[1]) : ""
        switch (parts[0], place) {
        case ("command-timeout", _): commandTimeout = try Self.seconds(value, "command-timeout")
        case ("connect-timeout", _): connectTimeout = try Self.seconds(value, "connect-timeout")
        case ("sentinel-password", .sentinels): sentinelPassword = value
        case ("ca", _) where tls != nil: tls?.authorities = value
        case ("cert", _) where tls != nil: tls?.certificate = value
        case ("key", _) where tls != nil: tls?.key = value
        case ("verify", _) where tls != nil:
            guard let verification = TLS.Verification(rawValue: value) else {
                throw Invalid("verify must be full, ca or none")
            }
            tls?.verification = verification
        default:
            throw Invalid(
                "the options are command-timeout and connect-timeout; by rediss:// also ca, cert, key and verify; "
                    + "by redis+sentinel:// also sentinel-password")
        }
    }

    /// Cuts the text at `index`, and returns the part after the character there.
    private static func cut(_ text: inout Substring, at index: Substring.Index?) -> Substring? {
        guard let index else { return nil }
        defer { text = text[..<index] }
        return text[text.index(after: index)...]
    }

    private static func endpoint(_ text: Substring, defaultPort: Int) throws(Invalid) -> Endpoint {
        guard let match = text.wholeMatch(of: /(?:\[([0-9A-Fa-f:.]+)\]|([^:,\[\]\s]+))(?::(\d+))?/) else {
            throw Invalid("it needs a host or host:port, as in redis://host:6379")
        }
        let port = match.3.map { Int($0) ?? 0 } ?? defaultPort
        guard 1...65535 ~= port else { throw Invalid("a port is a number from 1 to 65535") }
        return Endpoint(host: String(match.1 ?? match.2 ?? ""), port: port)
    }

    private static func database(_ text: Substring?) throws(Invalid) -> Int {
        guard let text, !text.isEmpty else { return 0 }
        guard let number = Int(text), number >= 0 else { throw Invalid("the database must be a number, as in /0") }
        return number
    }

    private static func seconds(_ text: String, _ option: String) throws(Invalid) -> Duration {
        guard let seconds = Double(text), seconds >= 0.001, seconds <= 3600 else {
            throw Invalid("\(option) must be a number of seconds from 0.001 to 3600")
        }
        return .seconds(seconds)
    }

    private static func decode(_ text: Substring) throws(Invalid) -> String {
        guard let decoded = text.removingPercentEncoding else { throw Invalid("its percent-encoding is broken") }
        return decoded
    }
}
