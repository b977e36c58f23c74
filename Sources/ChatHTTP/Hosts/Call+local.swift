import ChatCore

extension Call {
    /// Whether a program on this machine sends the request: a page of this server itself, or no page at all.
    ///
    /// The connection alone does not tell. A proxy on this machine passes on what others send, and a browser sends what
    /// pages from elsewhere want: with their `Origin`, or with the name of a host in `Host` that an attacker's DNS has
    /// pointed here.
    var isLocal: Bool {
        guard address.isLoopback, !request.headers.has(.forwardedFor),
            let host = request.headers[.host].flatMap({ Authority($0) }), host.isLoopback
        else { return false }
        guard request.headers.has(.origin) else { return true }
        return request.headers[.origin].flatMap { Origin($0) }?.isOrigin(of: host) == true
    }
}

extension Authority {
    fileprivate var isLoopback: Bool {
        if host == "localhost" { return true }
        let address = host.hasPrefix("[") ? host.dropFirst().dropLast() : host[...]
        return IPAddress(address)?.isLoopback == true
    }
}
