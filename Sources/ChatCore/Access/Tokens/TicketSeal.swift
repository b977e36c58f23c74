import Cryptography

/// Tickets: what a verified user token says, sealed for a while, so that it can stand in a URL. A browser's EventSource can
/// send nothing else.
///
/// They are not stored: each process opens them with the deployment's key. Their user and the key of their token are looked
/// at on every use, as for the token, so that what ends the token ends them.
struct TicketSeal: Sendable {
    private static let prefix = "tkt_"
    /// Longer ones are refused unread. The longest token makes one of 4.2 KiB, and `TenantScope.ticketChats` make one of
    /// 5.9; a URI may have 8.
    static let longest = 6 << 10
    private static let context = Array("luciq ticket 1".utf8)
    private let key: SecretKey

    /// - Parameter key: 32 bytes.
    init(key: SecretKey) { self.key = key }

    func seal(_ token: UserToken) -> String {
        var json = JSONWriter()
        json.object { json in
            json.member("aud", token.audience)
            json.member("sub", token.user.text)
            json.member("kid", token.keyID.text)
            json.member("iat", token.issuedAt.microseconds)
            json.member("exp", token.expiresAt.microseconds)
            // One text, without a quote for each number.
            if let chats = token.chats { json.member("chats", chats.map { "\($0.rawValue)" }.joined(separator: " ")) }
        }
        let nonce = (0..<12).map { _ in UInt8.random(in: 0...255) }
        return Self.prefix
            + Base64URL.encode(
                nonce + AES256GCM.seal(json.bytes, key: key, nonce: nonce, authenticating: Self.context))
    }

    /// - Throws: `.expired`, `.invalid`.
    func open(_ text: String, at now: Timestamp) throws(UserTokenRefusal) -> UserToken {
        let token = try open(text)
        guard now < token.expiresAt else { throw .expired }
        return token
    }

    /// What a ticket said when it was made.
    ///
    /// - Throws: `.invalid`.
    func open(_ text: String) throws(UserTokenRefusal) -> UserToken {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.longest, bytes.starts(with: Self.prefix.utf8),
            let sealed = Base64URL.decode(bytes[Self.prefix.utf8.count...]), sealed.count > 12,
            let json = AES256GCM.open(
                sealed[12...], key: key, nonce: Array(sealed[..<12]), authenticating: Self.context),
            let token = Self.token(json)
        else { throw .invalid(.form) }
        return token
    }

    private static func token(_ json: [UInt8]) -> UserToken? {
        var (audience, user, kid): (String?, User.ID?, UserTokenKey.ID?)
        var (issuedAt, expiresAt): (Int64?, Int64?)
        var chats: [Chat.Number]?
        let isWhole: Void? = try? json.withUnsafeBufferPointer { json in
            var reader = JSONReader(utf8: json)
            try reader.document { name, reader in
                switch name {
                case "aud": audience = try reader.string()
                case "sub": user = User.ID(try reader.string())
                case "kid": kid = UserTokenKey.ID(try reader.string())
                case "iat": issuedAt = Int64(try reader.number())
                case "exp": expiresAt = Int64(try reader.number())
                case "chats": chats = try reader.string().split(separator: " ").compactMap { Chat.Number(digits: $0) }
                default: try reader.value()
                }
            }
        }
        guard isWhole != nil, let audience, let user, let kid, let issuedAt, let expiresAt else { return nil }
        return UserToken(
            keyID: kid, audience: audience, user: user, issuedAt: Timestamp(microseconds: issuedAt),
            expiresAt: Timestamp(microseconds: expiresAt), notBefore: nil, chats: chats, isReadOnly: true)
    }
}
