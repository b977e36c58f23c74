/// A change of one member of a chat.
package struct MemberChange: Sendable {
    package let chat: ChatPlace
    package let user: User.ID
    /// Nil: it is removed.
    package let role: Member.Role?
    /// The user who wants it; nil for the application itself, which may all.
    package let actor: User.ID?

    package init(chat: ChatPlace, user: User.ID, role: Member.Role?, actor: User.ID? = nil) {
        self.chat = chat
        self.user = user
        self.role = role
        self.actor = actor
    }

    package enum Decision: Equatable, Sendable {
        case store(Member)
        /// Its row goes.
        case delete
        case nothing
    }

    /// What the change makes of the member. Called within the transaction that carries it out, and that has locked the
    /// chat's row, so that nothing that it depends on changes meanwhile.
    ///
    /// - Parameters:
    ///   - actor: the actor's row, if there is one; of no meaning without an actor.
    ///   - target: the member's row, if there is one.
    ///   - hasOtherOwner: whether the chat has an owner besides the member.
    ///   - lastNumber: the highest number in the chat.
    /// - Throws: `ChatError.notFound`, `.insufficientRole`, `.invalid`; the errors of the closures.
    package func decide(
        in chat: Chat.Settings, actor actorRow: Member?, target: Member?, at now: Timestamp,
        hasOtherOwner: () throws -> Bool, lastNumber: () throws -> Int64
    ) throws -> Decision {
        let current = target.flatMap { $0.isActive ? $0 : nil }
        if let actor {
            guard let standing = Standing(access: chat.access, member: actorRow) else { throw ChatError.notFound }
            if role != nil || user != actor {
                try standing.checkAdministers()
                let touchesOwner = current?.role == .owner || role == .owner
                if standing.role != .owner, touchesOwner { throw ChatError.insufficientRole }
            }
            if current?.role == .owner, role != .owner, try !hasOtherOwner() {
                throw ChatError.invalid(["The last owner must make another owner first"])
            }
        }
        guard let role else {
            guard var target else { throw ChatError.notFound }
            if current?.role == .banned { return .delete }
            // A reader who leaves stays one where everybody may write; whoever else removes it lifts that.
            let isLifted = target.role == .reader && actor != user
            // It was removed before, perhaps by this request, whose answer was lost.
            guard current != nil || isLifted else { return .nothing }
            if isLifted { target.role = .member }
            if current != nil {
                target.numbers = NumberSpan(first: target.numbers.first, last: try lastNumber())
                target.removedAt = now
            }
            return .store(target)
        }
        if var current, current.role != .banned || role == .banned {
            guard current.role != role else { return .nothing }
            current.role = role
            return .store(current)
        }
        let first = chat.history == .sinceJoin ? try lastNumber() + 1 : 1
        return .store(Member(user: user, role: role, numbers: NumberSpan(first: first), joinedAt: now))
    }
}

/// A change of a chat's settings.
package struct ChatUpdate: Sendable {
    package let chat: ChatPlace
    package let patch: Chat.Patch
    /// The user who wants it; nil for the application itself.
    package let actor: User.ID?

    package init(chat: ChatPlace, patch: Chat.Patch, actor: User.ID? = nil) {
        self.chat = chat
        self.patch = patch
        self.actor = actor
    }

    /// The settings after it, and what that changes. Called as `MemberChange.decide` is.
    ///
    /// - Throws: likewise.
    package func decide(
        in settings: Chat.Settings, actor actorRow: Member?
    ) throws(ChatError) -> (settings: Chat.Settings, effect: TenantChange.Effect) {
        if actor != nil {
            guard let standing = Standing(access: settings.access, member: actorRow) else { throw .notFound }
            try standing.checkAdministers()
        }
        let new = try settings.applying(patch)
        if new == settings { return (new, .nothing) }
        return (new, new.access == settings.access ? .changed : .changedAccess)
    }
}

/// A chat that is to be changed.
package struct ChatPlace: Hashable, Sendable {
    package let id: Chat.ID
    package let number: Chat.Number
    package let tenant: Tenant.ID
    /// The tenant's token: after a switch to another database server its id may mean another. Nil: the ids are taken as
    /// they are.
    package let token: Tenant.Token?

    package init(id: Chat.ID, number: Chat.Number, tenant: Tenant.ID, token: Tenant.Token? = nil) {
        self.id = id
        self.number = number
        self.tenant = tenant
        self.token = token
    }
}

/// Who may see what in a chat has changed, for one user or, without one, for any.
package struct MembersChanged: Hashable, Sendable {
    package let tenant: Tenant.ID
    package let chat: Chat.ID
    package let number: Chat.Number
    package let user: User.ID?

    package init(tenant: Tenant.ID, chat: Chat.ID, number: Chat.Number, user: User.ID?) {
        self.tenant = tenant
        self.chat = chat
        self.number = number
        self.user = user
    }
}
