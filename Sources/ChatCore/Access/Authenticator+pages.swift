/// What pages of other origins may learn (the fetch standard, 3.3).
extension Authenticator {
    /// Whether pages of an origin may ask for an application. An answer of yes tells that there is one; any other does not,
    /// and takes one look-up.
    func allows(_ origin: String, of name: Tenant.Name) async throws -> Bool {
        func isAllowed(_ tenant: Tenant.Identity) -> Bool { isThere(tenant, name) && tenant.allows(origin) }
        if let tenant = tenants[name], isAllowed(tenant) { return true }
        do { return isAllowed(try await lookUp(name)) } catch ChatError.notFound { return false }
    }

    /// The application that refused credentials were made for, if it is the one that the path names: who has them may know
    /// that it is there.
    func tenant(
        of credentials: Credentials, refusedWith error: ChatError
    ) async throws -> Tenant.Identity? {
        guard let name = Tenant.Name(credentials.application) else { return nil }
        switch error {
        case .suspended: return try await tenant(name)
        case .userBlocked, .unauthorized(.userToken(.expired)), .unauthorized(.userToken(.notYetValid)),
            .unauthorized(.userToken(.revoked)):
            let token: UserToken
            switch credentials.authorization {
            case .userToken(let text): token = try users.read(text).token
            case .ticket(let text):
                do { token = try tickets.open(text) } catch { return nil }
            default: return nil
            }
            return try Self.name(of: token) == name ? try await tenant(name) : nil
        default: return nil
        }
    }
}
