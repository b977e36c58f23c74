/// A principal, its application, and its permissions there. Each scope has an `Access`, and checks it before it reads
/// or writes.
package struct Access: Sendable {
    package let principal: Principal
    /// What the request's path calls the application.
    package let name: Tenant.Name
    let tenantID: Tenant.ID
    let token: Tenant.Token
    /// If `name` is the token of before.
    package let deprecation: Tenant.Deprecation?
    /// Where the request came from, for the audit.
    package var source: RequestSource?
    /// `Backend.epoch` when the id was looked up.
    let epoch: UInt64
    let service: ChatService
    /// The user's; nil for other principals.
    private let session: UserSession?
    /// What its application has set for requests; nil if nothing.
    package let rules: TenantRules?
    /// From where the request comes.
    let client: IPAddress
    private let abilities: Abilities

    init(_ grant: Grant, from client: IPAddress = .unspecified, service: ChatService) {
        self.principal = grant.principal
        self.name = grant.name
        self.tenantID = grant.tenant.id
        self.token = grant.tenant.token
        self.deprecation = grant.tenant.deprecation
        self.epoch = grant.epoch
        self.session = grant.userToken.map { UserSession($0) }
        self.abilities = grant.abilities
        self.rules = grant.tenant.rules
        self.client = client
        self.service = service
    }

    /// The user's token, as it is now; nil for other principals.
    package var userToken: UserToken? { session?.token }

    package var tenant: TenantScope { TenantScope(access: self) }

    /// Nil if the principal is no user.
    package var user: User.ID? { userToken?.user }

    /// Whether the principal is not the path's token.
    package var showsKey: Bool { if case .pathToken = principal { false } else { true } }

    /// - Parameter abilities: one of these is enough.
    /// - Throws: `ChatError.notAllowed`.
    package func require(_ abilities: Abilities) throws(ChatError) {
        guard !self.abilities.isDisjoint(with: abilities) else { throw .notAllowed }
    }

    /// Refuses users: for what is about the application, and not about what a user may see.
    ///
    /// - Throws: `ChatError.notAllowed`.
    func requireApplication() throws(ChatError) { if userToken != nil { throw .notAllowed } }

    /// Whether the credentials are good for a chat: a user token may name the only ones.
    package func includes(_ chat: Chat.Number) -> Bool { userToken?.includes(chat) ?? true }

    /// Who makes what the principal creates.
    var author: Author { userToken.map { .user($0.user, tokenIssuedAt: $0.issuedAt) } ?? .application }

    /// The same principal's access, looked up again.
    ///
    /// - Throws: the errors of `ChatService.access`.
    func renewed() async throws -> Access {
        Access(try await service.authenticator.renew(principal, name, userToken), from: client, service: service)
    }

    /// When the principal must show something newer for what is open.
    package var expiry: AccessExpiry { userToken.map { .at($0.expiresAt) } ?? .never }

    /// Takes another token of the same user, for all that was made from this access: what is open goes on with it.
    ///
    /// - Throws: `ChatError.notAllowed` for another user or application, and if this is no user; the errors of
    ///   `ChatService.access`.
    package func renew(with text: String) async throws {
        let grant: Grant
        do {
            grant = try await service.grant(
                Credentials(application: name.text[...], authorization: .userToken(text), client: client))
        } catch ChatError.notFound, ChatError.ambiguousCredentials {
            throw ChatError.notAllowed
        }
        guard grant.principal == principal, let session, let token = grant.userToken else {
            throw ChatError.notAllowed
        }
        guard token.expiresAt > service.clock.now() else { throw ChatError.unauthorized(.userToken(.expired)) }
        session.renew(token)
    }

    /// The time until then by the server's clock.
    package func timeLeft(until moment: Timestamp) -> Duration {
        .microseconds(moment.microseconds - service.clock.now().microseconds)
    }

    /// Something that stays open, and ends when the principal is revoked.
    ///
    /// - Parameter slot: kept as long as the opening.
    /// - Throws: the errors of `ChatService.access`.
    package func open(holding slot: StreamSlots.Slot? = nil) async throws -> Opening {
        // What is open ends when the token does: there is no leeway.
        if let token = userToken, token.expiresAt <= service.clock.now() {
            throw ChatError.unauthorized(.userToken(.expired))
        }
        let opening = service.authenticator.openings.add(principal, name, of: tenantID, session, holding: slot)
        // Look up again: the opening has missed revocations since the first look-up.
        _ = try await renewed()
        if let user, rules?.presence == .users {
            service.presence.arrive(PresentUser(tenant: tenantID, user: user))
        }
        return opening
    }
}
