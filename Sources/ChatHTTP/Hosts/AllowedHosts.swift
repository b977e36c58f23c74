/// The host names that a server answers to, against DNS rebinding: a page on `evil.example` whose name is made to mean
/// 127.0.0.1 is of the same origin as this server, for the browser that shows it (docs/decisions/0017-host-names.md).
package struct AllowedHosts: Sendable {
    private enum Rule {
        case any
        /// Names that no outsider can point at this machine.
        case local
        case listed(Set<String>, suffixes: [String])
    }

    private let rule: Rule

    /// - Parameters:
    ///   - names: host names; `.example.com` with all below it; `*` for any. Empty for the default, which is any name,
    ///     and on a loopback address the local ones.
    ///   - host: the address that the server listens on.
    package init(_ names: [String], listeningOn host: String) {
        if names.contains("*") {
            rule = .any
        } else if !names.isEmpty {
            let names = names.map { $0.lowercased() }
            rule = .listed(
                Set(names.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 }),
                suffixes: names.filter { $0.hasPrefix(".") })
        } else {
            rule = Self.isLoopback(host) ? .local : .any
        }
    }

    /// Whether there is nothing to look at.
    var allowsAny: Bool { if case .any = rule { true } else { false } }

    private static func isLoopback(_ host: String) -> Bool {
        host.hasPrefix("127.") || ["::1", "[::1]", "localhost"].contains(host.lowercased())
    }

    /// - Parameters:
    ///   - host: nil where the request has none, which no browser sends.
    ///   - isHandshake: of a WebSocket.
    ///   - port: that the connection came to.
    func allows(_ host: String?, isHandshake: Bool, port: @autoclosure () -> Int?) -> Bool {
        if case .any = rule { return true }
        guard let host else { return true }
        guard let authority = Authority(host) else { return false }
        // An address cannot be rebound, and health checks ask by it.
        if authority.isAddress || authority.isLocalhost { return true }
        switch rule {
        case .any: return true
        case .local:
            if !authority.host.contains(".") { return true }
            // A handshake has a rule of its own: its origin is its host. A browser that was led here asked for our port;
            // with another one, a proxy stands between.
            return isHandshake && (authority.port ?? 80) != port()
        case .listed(let names, let suffixes):
            return names.contains(authority.host) || suffixes.contains { authority.host.hasSuffix($0) }
        }
    }
}

extension Authority {
    /// RFC 6761, 6.3.
    fileprivate var isLocalhost: Bool { host == "localhost" || host.hasSuffix(".localhost") }
}
