package import Cryptography

/// The users of a tenant, and the keys of their tokens.
extension TenantScope {
    /// Makes a key for user tokens; durable when this returns.
    ///
    /// - Parameters:
    ///   - publicKey: of a pair that the application has; nil for a new secret, which nobody can see again.
    ///   - id: a new one.
    /// - Throws: `ChatError.notAllowed`; `.invalid` for one too many; what `GroupCommit.submit` throws.
    package func createTokenKey(
        _ publicKey: Ed25519PublicKey? = nil, id: UserTokenKey.ID = .random()
    ) async throws -> StoredTokenKey {
        try access.require(.admin)
        let material = publicKey.map { UserTokenKey.Material.publicKey($0) } ?? .secret(.randomText())
        // A random secret is long enough.
        let stored = StoredTokenKey(key: UserTokenKey(id: id, material)!, createdAt: service.clock.now())
        try await changeUsers(.addKey(stored), .createTokenKey, target: stored.key.id.text)
        return stored
    }

    /// The oldest first, with those that were revoked last.
    ///
    /// - Throws: `ChatError.notAllowed`.
    package func tokenKeys() async throws -> [StoredTokenKey] {
        try access.require(.admin)
        return try await lookUp { scope in
            guard let keyring = try await service.backend.users.tokenKeys(of: scope.id) else {
                throw ChatError.notFound
            }
            return keyring.keys
        }
    }

    /// - Throws: `ChatError.notAllowed`, `.notFound`.
    package func tokenKey(_ id: UserTokenKey.ID) async throws -> StoredTokenKey {
        guard let key = try await tokenKeys().first(where: { $0.key.id == id }) else { throw ChatError.notFound }
        return key
    }

    /// Ends a key's use: when this returns, in the store and in this process. The others learn of it over the bus or,
    /// without it, within seconds.
    ///
    /// - Parameter state: `.retiring` or `.revoked`.
    /// - Returns: the key as it is now; a revoked one stays so.
    /// - Throws: `ChatError.notAllowed`, `.notFound`; what `GroupCommit.submit` throws.
    package func endTokenKey(_ id: UserTokenKey.ID, _ state: UserTokenKey.State) async throws -> StoredTokenKey {
        try access.require(.admin)
        try await changeUsers(
            .endKey(id, state), state == .revoked ? .revokeTokenKey : .updateTokenKey, target: id.text)
        return try await tokenKey(id)
    }

    /// - Throws: `ChatError.notAllowed`, `.notFound`.
    package func user(_ id: User.ID) async throws -> User {
        if access.userToken?.user != id { try access.require(.members) }
        return try await lookUp { scope in
            guard let user = try await service.backend.users.user(id, in: scope.id) else { throw ChatError.notFound }
            return user
        }
    }

    /// The users by their ids.
    ///
    /// - Throws: `ChatError.notAllowed`.
    package func users(after user: User.ID?, limit: Int) async throws -> (users: [User], hasMore: Bool) {
        try access.require(.members)
        return try await lookUp { try await service.backend.users.users(of: $0.id, after: user, limit: limit) }
    }

    /// How long a ticket may last, in seconds.
    package static let ticketLifetimes: ClosedRange<Int64> = 1...86_400
    /// The most chats that a ticket may name. A ticket with more could be too long for `TicketSeal.open` and for a URI.
    package static let ticketChats = 200

    /// Makes a ticket for the bearer of a user token. It reads, as often as one likes, and never longer than the token.
    ///
    /// - Parameter chats: the only ones that it is good for; nil for those of the token.
    /// - Throws: `ChatError.notAllowed`; `.notFound` for a chat that the token is not good for; `.invalid`.
    package func makeTicket(
        chats: [Chat.Number]?, seconds: Int64
    ) throws(ChatError) -> (ticket: String, expiresAt: Timestamp) {
        guard let token = access.userToken, !token.isReadOnly else { throw .notAllowed }
        guard Self.ticketLifetimes.contains(seconds) else {
            throw .invalid(["Ttl_s must be a number from 1 to \(Self.ticketLifetimes.upperBound)"])
        }
        if let chats, chats.count > Self.ticketChats {
            throw .invalid(["Chats must be at most \(Self.ticketChats) numbers"])
        }
        for chat in chats ?? [] where !token.includes(chat) { throw .notFound }
        let now = service.clock.now()
        let end = min(now.adding(.seconds(seconds)), token.expiresAt)
        guard now < end else { throw .unauthorized(.userToken(.expired)) }
        let bound = UserToken(
            keyID: token.keyID, audience: token.audience, user: token.user, issuedAt: token.issuedAt, expiresAt: end,
            notBefore: nil, chats: chats.map { Set($0).sorted() } ?? token.chats, isReadOnly: true)
        return (service.authenticator.tickets.seal(bound), end)
    }

    /// Stores a user's name and metadata, whatever they were.
    ///
    /// - Throws: `ChatError.notAllowed`; `.invalid` for a bad name; what `GroupCommit.submit` throws.
    package func putUser(_ id: User.ID, name: String?, metadata: String?) async throws -> User {
        try access.require(.members)
        if let name { try Text.checkName(name) }
        try await submit(
            .users(.put(id, name: name, metadata: metadata), of: self.id, token: token), .updateUser, target: id.text)
        return try await user(id)
    }

    /// - Throws: `ChatError.notAllowed`, `.notFound`; `.invalid` for a bad name, and metadata that are too long; what
    ///   `GroupCommit.submit` throws.
    package func updateUser(_ id: User.ID, _ patch: UserPatch) async throws -> User {
        if access.userToken?.user != id { try access.require(.members) }
        if let name = patch.name ?? nil { try Text.checkName(name) }
        // What can never be stored waits in no queue.
        if let metadata = patch.metadata { _ = try Metadata.merge(metadata, into: nil) }
        let change = TenantChange.users(.patch(id, patch), of: self.id, token: token)
        // What users change of themselves is their own affair.
        if access.user == nil {
            try await submit(change, .updateUser, target: id.text)
        } else {
            _ = try await service.tenantWriter.submit(change)
        }
        return try await user(id)
    }

    /// Refuses a user from now on, and ends what it has open. A user who is not there yet is stored.
    ///
    /// - Returns: the user as it is now.
    /// - Throws: `ChatError.notAllowed`; what `GroupCommit.submit` throws.
    package func block(_ id: User.ID) async throws -> User {
        try access.require(.members)
        try await changeUser(id, .block(id), .blockUser)
        return try await user(id)
    }

    /// - Throws: `ChatError.notAllowed`, `.notFound`; what `GroupCommit.submit` throws.
    package func unblock(_ id: User.ID) async throws -> User {
        try access.require(.members)
        try await changeUser(id, .unblock(id), .unblockUser)
        return try await user(id)
    }

    /// Refuses the tokens that a user has by now, and ends what was opened with them.
    ///
    /// - Throws: `ChatError.notAllowed`; what `GroupCommit.submit` throws.
    package func revokeTokens(of id: User.ID) async throws -> User {
        try access.require(.members)
        try await changeUser(id, .revoke(id, upTo: service.clock.now().inWholeSeconds), .revokeUser)
        return try await user(id)
    }

    /// The same for all users.
    ///
    /// - Returns: up to when.
    /// - Throws: likewise.
    package func revokeAllTokens() async throws -> Timestamp {
        try access.require(.members)
        try await changeUsers(.revokeAll(upTo: service.clock.now().inWholeSeconds), .revokeUsers)
        return try await lookUp { scope in
            guard let until = try await service.backend.users.tokenKeys(of: scope.id)?.validAfter else {
                throw ChatError.notFound
            }
            return until
        }
    }

    private func changeUser(_ user: User.ID, _ change: UserChange, _ action: AuditAction) async throws {
        let effect = try await submit(.users(change, of: id, token: token), action, target: user.text)
        // What changes nothing may have been answered by another process, and not have come here yet.
        if effect == .nothing { return await service.authenticator.review(.user(id, user)) }
        switch change {
        case .unblock: await service.authenticator.review(.user(id, user))
        case .block: service.revoke(.user(id, user), isBlocked: true)
        default: service.revoke(.user(id, user))
        }
    }

    private func changeUsers(
        _ change: UserChange, _ action: AuditAction, target: String? = nil
    ) async throws {
        try await submit(.users(change, of: id, token: token), action, target: target)
        await changed()
    }
}

extension SecretKey {
    /// 256 bits as 43 characters of base64url, whose bytes are the key: libraries take a secret as text.
    fileprivate static func randomText() -> SecretKey {
        SecretKey(Array(Base64URL.encode(SecretKey.random().exposedBytes).utf8))
    }
}

extension Timestamp {
    /// Cut, as `iat` is.
    fileprivate var inWholeSeconds: Timestamp {
        let (seconds, _) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return Timestamp(microseconds: seconds * 1_000_000)
    }
}
