/// The applications that user tokens name.
extension Authenticator {
    func proof(_ shown: ShownToken) async throws -> Proof {
        let name = try Self.name(of: shown.token)
        var refusal: (key: UserTokenKey, error: any Error)?
        if let tenant = tenants[name] {
            let key = users.knownKey(of: shown, in: tenant.id)
            do { return .user(try await users.find(shown, of: tenant), tenant: tenant.id) } catch {
                guard case ChatError.unauthorized(.userToken(.invalid)) = error else { throw error }
                refusal = key.map { ($0, error) }
            }
        }
        // Nobody has signed it, as far as is known. The same look-ups and the same answer, whether there is the
        // application or not.
        let tenant: Tenant.Identity?
        do { tenant = try await lookUp(name) } catch ChatError.notFound { tenant = nil }
        try await users.lookUpKeys(of: tenant?.id)
        guard let tenant else { throw ChatError.unauthorized(.userToken(.invalid(.key))) }
        // The same key says the same once more, and a signature is what a refusal costs most.
        if let refusal, users.knownKey(of: shown, in: tenant.id) == refusal.key { throw refusal.error }
        return .user(try await users.find(shown, of: tenant), tenant: tenant.id)
    }

    /// What a token calls its application.
    static func name(of token: UserToken) throws(ChatError) -> Tenant.Name {
        guard let id = Tenant.PublicID(token.audience) else { throw .unauthorized(.userToken(.invalid(.audience))) }
        return .publicID(id)
    }

    /// The tenant that a token names. Without one nobody has signed the token.
    func named(by token: UserToken) async throws -> Tenant.Identity {
        do {
            return try await tenant(try Self.name(of: token))
        } catch ChatError.notFound {
            throw ChatError.unauthorized(.userToken(.invalid(.audience)))
        }
    }
}
