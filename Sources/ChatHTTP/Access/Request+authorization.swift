import ChatCore

extension Request {
    /// The same, or the ticket in the query: an `EventSource` can send nothing else.
    var authorizationOrTicket: Authorization {
        guard let ticket = QueryItems(query)["ticket"] else { return authorization }
        guard case .none = authorization else { return .several }
        return ticket.map { .ticket($0) } ?? .invalid
    }

    /// What `Authorization` shows. Other schemes than `Bearer` (RFC 6750, 2.1) are somebody else's, such as a proxy's, and
    /// ignored as ever; a bearer's token that is not ours is refused, so that nobody takes a request with a mistyped key
    /// for one with less rights than it has.
    var authorization: Authorization {
        guard headers.has(.authorization) else { return .none }
        return headers.withOnlyValue(of: .authorization) { value in
            let scheme = value.prefix { $0 != UInt8(ascii: " ") }
            guard scheme.isName("bearer") else { return .none }
            // One space: a key has a fixed length, so nothing else is looked at.
            let token = UnsafeRawBufferPointer(rebasing: value[scheme.endIndex...].dropFirst())
            if let key = AccessKey(token) { return .key(key) }
            // A key has no dots, and a JWT two.
            guard token.contains(UInt8(ascii: ".")) else { return .invalid }
            return .userToken(String(decoding: token, as: UTF8.self))
        } ?? .several
    }
}
