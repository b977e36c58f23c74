extension ChatScope {
    private var members: any MemberStore { tenant.service.backend.members }

    var place: ChatPlace { ChatPlace(id: id, number: number, tenant: tenant.id, token: tenant.token) }

    /// - Throws: `ChatError.insufficientRole` for a user, `.notAllowed` for a key.
    private func checkAdministers(_ needs: Abilities) throws(ChatError) {
        if let standing { try standing.checkAdministers() } else { try tenant.access.require(needs) }
    }

    /// - Throws: `ChatError.notFound` if it is no member; `.insufficientRole` unless it asks for itself or administers the
    ///   chat; `.notAllowed`.
    package func member(_ user: User.ID) async throws -> Member {
        if standing == nil || user != tenant.access.user { try checkAdministers(.members) }
        // One that was removed still has the chat, and is none of its members.
        guard let member = try await members.member(user, in: id), member.isActive else { throw ChatError.notFound }
        return member
    }

    /// The members by their ids, banned ones included.
    ///
    /// - Throws: `ChatError.insufficientRole`, `.notAllowed`.
    package func members(after user: User.ID?, limit: Int) async throws -> (members: [Member], hasMore: Bool) {
        try checkAdministers(.members)
        return try await members.members(of: id, after: user, limit: limit)
    }

    /// Makes a user a member, or changes its role. When this returns it is durable, and holds in this process; in the
    /// others within seconds.
    ///
    /// - Throws: `ChatError.insufficientRole`, `.notAllowed`; `.invalid` for the last owner; what `GroupCommit.submit`
    ///   throws.
    package func setMember(_ user: User.ID, role: Member.Role) async throws -> Member {
        try checkAdministers(.members)
        try await change(user, to: role)
        guard let member = try await members.member(user, in: id), member.isActive else { throw ChatError.notFound }
        return member
    }

    /// The same, the other way.
    ///
    /// - Throws: likewise; `ChatError.notFound` if it is no member.
    package func removeMember(_ user: User.ID) async throws {
        if standing == nil || user != tenant.access.user { try checkAdministers(.members) }
        try await change(user, to: nil)
    }

    private func change(_ user: User.ID, to role: Member.Role?) async throws {
        let change = MemberChange(chat: place, user: user, role: role, actor: tenant.access.user)
        let member = "chats/\(number.rawValue)/members/\(user.text)"
        let effect =
            if let role {
                try await tenant.submit(.member(change), .setMember, target: "\(member) \(role.name)")
            } else {
                try await tenant.submit(.member(change), .removeMember, target: member)
            }
        let changed = MembersChanged(tenant: tenant.id, chat: id, number: number, user: user)
        // What another process has answered may not have come here yet.
        if effect == .nothing { await tenant.service.review(changed) } else { await tenant.service.changed(changed) }
    }

    /// - Returns: the chat as it is then.
    /// - Throws: `ChatError.insufficientRole`, `.notAllowed`; `.invalid` for a bad name or metadata; what
    ///   `GroupCommit.submit` throws.
    package func update(_ patch: Chat.Patch) async throws -> Chat {
        try checkAdministers(.write)
        try patch.check()
        let effect = try await tenant.submit(
            .chat(ChatUpdate(chat: place, patch: patch, actor: tenant.access.user)), .updateChat,
            target: "chats/\(number.rawValue) \(patch.summary)")
        if effect == .changedAccess {
            await tenant.service.changed(MembersChanged(tenant: tenant.id, chat: id, number: number, user: nil))
        }
        guard let chat = try await storedDetails() else { throw ChatError.notFound }
        return chat
    }
}
