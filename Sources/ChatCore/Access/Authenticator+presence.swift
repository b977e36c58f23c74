extension Authenticator {
    /// The users who have something open here, of the applications that show who is online. An application that cannot be
    /// looked up is left out.
    func presentUsers() async -> Set<PresentUser> {
        var users: [Tenant.Name: Set<User.ID>] = [:]
        for opening in openings.all(where: { _ in true }) {
            if case .user(_, let user) = opening.principal { users[opening.name, default: []].insert(user) }
        }
        var present: Set<PresentUser> = []
        for (name, users) in users {
            // Its store has logged why it does not answer.
            guard let tenant = try? await tenant(name), tenant.rules?.presence == .users else { continue }
            present.formUnion(users.map { PresentUser(tenant: tenant.id, user: $0) })
        }
        return present
    }
}
