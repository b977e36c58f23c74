/// The credentials of a request.
package struct Credentials: Sendable {
    /// The path's part at the place of the application's token.
    package let pathToken: Substring

    package init(pathToken: Substring) { self.pathToken = pathToken }
}

/// The principal of a request.
package enum Principal: Hashable, Sendable {
    /// The holder of the application's token.
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

/// A principal, its application, and its permissions there. Each scope has an `Access`, and checks it before it reads
/// or writes.
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

    /// The same principal's access, looked up again.
    ///
    /// - Throws: the errors of `ChatService.access`.
    func renewed() async throws -> Access { try await service.access(principal) }

    /// Something that stays open, and ends when the principal is revoked.
    ///
    /// - Throws: the errors of `ChatService.access`.
    package func open() async throws -> Opening {
        let opening = service.openings.add(principal)
        // Look up again: the opening has missed revocations since the first look-up.
        _ = try await renewed()
        return opening
    }
}
