import Foundation

extension MySQLConfiguration {
    /// `mysql://user:password@host:port/database?ssl-mode=verify-ca&ssl-ca=/path`, every part but the scheme optional.
    ///
    /// Schemes: `mysql`, `mysql2`, `mariadb`. Parameters: `ssl-mode` (`disabled`, `preferred`, `required`, `verify-ca`,
    /// `verify-identity`; `verify-ca` where only an `ssl-ca` is given), `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`,
    /// `connect-timeout`, `read-timeout`, `write-timeout` (whole seconds). Special characters are percent-encoded.
    ///
    /// - Throws: `Invalid`, which never repeats a piece of the URL: a password with a raw `/` or `?` in it ends up in
    ///   any of them.
    package init(url: String) throws(Invalid) {
        guard let schemeEnd = url.range(of: "://"),
            ["mysql", "mysql2", "mariadb"].contains(url[..<schemeEnd.lowerBound].lowercased())
        else { throw Invalid("The database URL must start with mysql://") }
        guard !url.contains("#") else {
            throw Invalid("The database URL must not have a fragment: a # is written %23")
        }
        let halves = url[schemeEnd.upperBound...].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)

        self.init(user: "")
        try readAuthority(parts[0])
        if parts.count > 1 { database = try Self.decode(parts[1], "database") }
        guard !database.contains("/") else {
            throw Invalid("The database URL must have one name after the host; special characters are percent-encoded")
        }
        var modeIsGiven = false
        if halves.count > 1 {
            for pair in halves[1].split(separator: "&") { try readParameter(pair, &modeIsGiven) }
        }
        try settleTLS(modeIsGiven)
    }

    private mutating func readAuthority(_ authority: Substring) throws(Invalid) {
        var location = authority
        if let at = authority.lastIndex(of: "@") {
            let account = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decode(account[0], "user")
            if account.count > 1 { password = try Self.decode(account[1], "password") }
            location = authority[authority.index(after: at)...]
        }
        var portText: Substring?
        if location.first == "[" {
            guard let end = location.firstIndex(of: "]") else {
                throw Invalid("The database URL has an IPv6 address without its closing bracket")
            }
            host = String(location[location.index(after: location.startIndex)..<end])
            let rest = location[location.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else {
                throw Invalid("The database URL must have nothing but a port after the IPv6 address")
            }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else {
            let pieces = location.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if !pieces[0].isEmpty { host = try Self.decode(pieces[0], "host") }
            if pieces.count > 1 { portText = pieces[1] }
        }
        guard let portText else { return }
        guard let port = Int(portText), (1...65535).contains(port) else {
            throw Invalid("The database URL must have a port from 1 to 65535; special characters are percent-encoded")
        }
        self.port = port
    }

    private mutating func readParameter(_ pair: Substring, _ modeIsGiven: inout Bool) throws(Invalid) {
        let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let value = halves.count > 1 ? try Self.decode(halves[1], "parameters") : ""
        switch halves[0] {
        case "ssl-mode":
            guard let mode = TLSMode(rawValue: value.lowercased()) else {
                throw Invalid(
                    "ssl-mode in the database URL must be disabled, preferred, required, verify-ca or verify-identity")
            }
            tlsMode = mode
            modeIsGiven = true
        case "ssl-ca": tlsCA = try Self.path(value, "ssl-ca")
        case "ssl-cert": tlsCertificate = try Self.path(value, "ssl-cert")
        case "ssl-key": tlsKey = try Self.path(value, "ssl-key")
        case "socket": socket = try Self.path(value, "socket")
        case "connect-timeout": connectTimeout = try Self.seconds(value, "connect-timeout")
        case "read-timeout": readTimeout = try Self.seconds(value, "read-timeout")
        case "write-timeout": writeTimeout = try Self.seconds(value, "write-timeout")
        default:
            throw Invalid(
                "The database URL has an unknown parameter; there are ssl-mode, ssl-ca, ssl-cert, ssl-key, socket, "
                    + "connect-timeout, read-timeout and write-timeout, and a ? in the password is written %3F")
        }
    }

    private mutating func settleTLS(_ modeIsGiven: Bool) throws(Invalid) {
        if !modeIsGiven, tlsCA != nil { tlsMode = .verifyCA }
        if tlsMode == .verifyCA, tlsCA == nil { throw Invalid("ssl-mode=verify-ca in the database URL needs ssl-ca") }
        if tlsMode == .disabled, tlsCA != nil || tlsCertificate != nil || tlsKey != nil {
            throw Invalid("ssl-mode=disabled in the database URL goes without ssl-ca, ssl-cert and ssl-key")
        }
        if (tlsCertificate == nil) != (tlsKey == nil) {
            throw Invalid("The database URL must have both ssl-cert and ssl-key or neither")
        }
    }

    private static func decode(_ text: Substring, _ part: String) throws(Invalid) -> String {
        // The library takes C strings: text after a NUL would be lost silently.
        guard let decoded = text.removingPercentEncoding, !decoded.utf8.contains(0) else {
            throw Invalid("The \(part) in the database URL is not percent-encoded text")
        }
        return decoded
    }

    private static func path(_ value: String, _ name: String) throws(Invalid) -> String {
        guard !value.isEmpty else { throw Invalid("\(name) in the database URL must be a path") }
        return value
    }

    private static func seconds(_ value: String, _ name: String) throws(Invalid) -> Duration {
        guard let seconds = Int(value), (1...3600).contains(seconds) else {
            throw Invalid("\(name) in the database URL must be from 1 to 3600 seconds")
        }
        return .seconds(seconds)
    }
}
