/// What a request shows to say who makes it.
package struct Credentials: Sendable {
    /// What stands in the path where the application's token does.
    package let pathToken: Substring

    package init(pathToken: Substring) { self.pathToken = pathToken }
}

/// Who asks: exactly one for each request.
package enum Principal: Hashable, Sendable {
    /// Whoever has the application's token.
    case pathToken(Tenant.Token)
}

/// What a principal may do in its application.
package struct Abilities: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let read = Abilities(rawValue: 1)
    /// Create chats and messages.
    package static let write = Abilities(rawValue: 2)
    /// Change the application itself.
    package static let admin = Abilities(rawValue: 4)
    package static let all: Abilities = [.read, .write, .admin]
}

/// Who asks, in which application, and what it may do there. All that is seen and done in the application is reached through
/// it: every scope has it, and asks it before it reads or writes.
package struct Access: Sendable {
    package let principal: Principal
    let tenantID: Tenant.ID
    let token: Tenant.Token
    /// `Backend.epoch` when the id was looked up.
    let epoch: UInt64
    let service: ChatService
    private let abilities: Abilities

    init(
        _ principal: Principal, to tenantID: Tenant.ID, _ token: Tenant.Token, epoch: UInt64, abilities: Abilities,
        service: ChatService
    ) {
        self.principal = principal
        self.tenantID = tenantID
        self.token = token
        self.epoch = epoch
        self.abilities = abilities
        self.service = service
    }

    package var tenant: TenantScope { TenantScope(access: self) }

    /// - Throws: `ChatError.notAllowed`.
    func require(_ ability: Abilities) throws(ChatError) {
        guard abilities.isSuperset(of: ability) else { throw .notAllowed }
    }

    /// The same principal's, as of now.
    ///
    /// - Throws: what `ChatService.access` throws.
    func renewed() async throws -> Access { try await service.access(principal) }

    /// Something that stays open, and ends when the principal is revoked.
    ///
    /// - Throws: what `ChatService.access` throws.
    package func open() async throws -> Opening {
        let opening = service.openings.add(principal)
        // A revocation since the look-up was not told to it.
        _ = try await renewed()
        return opening
    }
}
