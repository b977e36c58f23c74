extension TenantScope {
    /// Which of some users are online, in their order.
    ///
    /// - Throws: `ChatError.notAllowed`, `.presenceOff`; `.unavailable` while nobody knows.
    package func presence(of users: [User.ID]) async throws -> [UserPresence] {
        try await read { scope in
            try await checkShowsPresence()
            let online = try await service.presence.online(
                among: users.map { PresentUser(tenant: scope.id, user: $0) })
            return users.map { user in
                UserPresence(user: user, isOnline: online.contains(PresentUser(tenant: scope.id, user: user)))
            }
        }
    }

    /// Watches users for a connection.
    ///
    /// - Throws: `ChatError.notAllowed`, `.presenceOff`, `.overloaded`.
    package func watchPresence(of users: [User.ID]) async throws -> PresenceWatch {
        try access.require(.read)
        try await checkShowsPresence()
        return try await watch(users)
    }

    /// The same where the application does not show it, which it may do later: until then nobody is online.
    func watch(_ users: [User.ID]) async throws(ChatError) -> PresenceWatch {
        try await service.presence.watch(users, of: id)
    }

    private func checkShowsPresence() async throws {
        // As of now: a connection may be older than the setting.
        guard try await access.renewed().rules?.presence == .users else { throw ChatError.presenceOff }
    }
}

extension Presence {
    /// The users of a list, each once.
    ///
    /// - Throws: `ChatError.invalid`.
    package static func users(_ names: [String], named name: String) throws(ChatError) -> [User.ID] {
        guard names.count <= mostUsers else { throw .invalid(["\(name) must be at most \(mostUsers) users"]) }
        var users: [User.ID] = []
        for text in names {
            let user = try User.ID(text, named: "Each of \(name.lowercased())")
            if !users.contains(user) { users.append(user) }
        }
        return users
    }
}
