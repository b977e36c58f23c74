/// The origin of a page (RFC 6454): a scheme, a host and a port.
struct Origin: Equatable, CustomStringConvertible {
    /// `http` or `https`.
    let scheme: String
    let host: String
    let port: Int

    /// - Returns: nil for `null`, and for origins that no web page has.
    init?(_ text: String) {
        // No long texts: those of combining marks are slow to compare.
        guard text.utf8.count <= 300, let mark = text.firstRange(of: "://"),
            let authority = Authority(text[mark.upperBound...])
        else {
            return nil
        }
        scheme = text[..<mark.lowerBound].lowercased()
        guard let defaultPort = Self.defaultPorts[scheme] else { return nil }
        host = authority.host
        port = authority.port ?? defaultPort
    }

    private static let defaultPorts = ["http": 80, "https": 443]

    private var hasDefaultPort: Bool { Self.defaultPorts[scheme] == port }

    /// The origin as a browser writes it.
    var description: String { "\(scheme)://\(host)" + (hasDefaultPort ? "" : ":\(port)") }

    /// Whether this is the origin of the request's host.
    ///
    /// A proxy may end TLS, so the request's scheme is unknown: a `Host` without a port means the default port of the
    /// origin's scheme.
    func isOrigin(of host: Authority) -> Bool {
        guard self.host == host.host else { return false }
        return host.port.map { $0 == port } ?? hasDefaultPort
    }

    /// Whether the origin is this server's own, or `CORS_ORIGIN`. Clients other than browsers send none.
    ///
    /// - Parameters:
    ///   - text: the `Origin` header.
    ///   - host: the `Host` header.
    ///   - corsOrigin: the setting.
    static func isWelcome(_ text: String?, at host: String?, corsOrigin: String?) -> Bool {
        guard let text else { return true }
        if corsOrigin == "*" || corsOrigin?.utf8.elementsEqual(text.utf8) == true { return true }
        guard let origin = Origin(text) else { return false }
        if let corsOrigin, Origin(corsOrigin) == origin { return true }
        return host.flatMap { Authority($0) }.map(origin.isOrigin) ?? false
    }
}
