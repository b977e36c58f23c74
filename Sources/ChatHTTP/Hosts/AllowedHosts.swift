import ChatCore

/// The accepted host names, against DNS rebinding: if `evil.example` resolves to 127.0.0.1, a browser treats a page
/// from there as same-origin with this server (docs/decisions/0017-host-names.md).
package struct AllowedHosts: Sendable {
    private enum Rule {
        case any
        /// Names that an attacker cannot point to this machine.
        case local
        case listed(Set<String>, suffixes: [String])
    }

    private let rule: Rule

    /// - Parameters:
    ///   - names: host names; `.example.com` includes its subdomains; `*` is any. Empty for the default: any name, but
    ///     on a loopback address only local ones.
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

    /// Whether only this machine reaches a server that listens there: DNS says where any name but `localhost` leads.
    package static func isLoopback(_ host: String) -> Bool {
        if host.lowercased().utf8.elementsEqual("localhost".utf8) { return true }
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        return IPAddress(isBracketed ? host.dropFirst().dropLast() : host[...])?.isLoopback == true
    }

    /// - Parameters:
    ///   - host: nil if the request has none; browsers always send one.
    ///   - isHandshake: whether the request is a WebSocket's handshake.
    ///   - port: the port that the client connected to.
    func allows(_ host: String?, isHandshake: Bool, port: @autoclosure () -> Int?) -> Bool {
        if case .any = rule { return true }
        guard let host else { return true }
        guard let authority = Authority(host) else { return false }
        // An address cannot be rebound, and health checks use it.
        if authority.isAddress || authority.isLocalhost { return true }
        switch rule {
        case .any: return true
        case .local:
            if !authority.host.contains(".") { return true }
            // A handshake is checked by its origin, which must be its host. A rebound browser names our port; with
            // another port, there is a proxy in between.
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
