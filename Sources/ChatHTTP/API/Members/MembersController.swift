import ChatCore
import HTTPTypes

/// The members of a chat, and a user's own chats.
///
/// Who may do it depends on the user's role in the chat, which `ChatScope` checks; so the routes ask users for nothing.
struct MembersController {
    let scopes: Scopes

    private static let role = TextParameter(wrapper: "member", name: "role")

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/members"
        routes.onJSON(.get, path, scopes.chat(.members, orIsUser: true, list))
        // Without .json behind it: the id of a user may end so.
        routes.on(.get, path + "/{user}", scopes.chat(.members, orIsUser: true, show))
        routes.on(.put, path + "/{user}", takesBody: true, scopes.chat(.members, orIsUser: true, set))
        routes.on(.delete, path + "/{user}", scopes.chat(.members, orIsUser: true, remove))
        let users = "/applications/{token}/users"
        routes.onJSON(.get, users + "/me/chats", scopes.tenant(.read) { try chats($0, $1, of: nil) })
        routes.onJSON(.get, users + "/{user}/chats", scopes.tenant(.read) { try chats($0, $1, of: $0.user()) })
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (limit, after) = try Page.users(QueryItems(call.request.query))
        return .task {
            let (members, hasMore) = try await chat.members(after: after, limit: limit)
            var response = Response(json: members.map(MemberAnswer.init), size: 160 * members.count)
            if hasMore {
                response.add("Link", Page.link(path: "\(chat.path)/members", after: members.last?.user, limit: limit))
            }
            return response
        }
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let user = try call.member()
        return .task { Response(json: MemberAnswer(member: try await chat.member(user))) }
    }

    @Sendable private func set(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let user = try call.member()
        guard let role = Member.Role(name: try Self.role.read(call.request.typedBody())) else {
            throw ChatError.invalid([
                "Role must be one of \(Member.Role.allCases.map(\.name).joined(separator: ", "))"
            ])
        }
        return .task { Response(json: MemberAnswer(member: try await chat.setMember(user, role: role))) }
    }

    @Sendable private func remove(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let user = try call.member()
        return .task {
            try await chat.removeMember(user)
            return Response(json: RemovedMemberAnswer(user: user))
        }
    }

    /// - Parameter user: nil for the user itself.
    private func chats(_ call: Call, _ tenant: TenantScope, of user: User.ID?) throws -> EndpointResult {
        let query = QueryItems(call.request.query)
        let path = "\(tenant.path)/users/\(user?.text.percentEncoded ?? "me")/chats"
        if let (limit, after) = try Page.inbox(query) {
            return .task {
                let inbox = try await tenant.inbox(of: user, after: after, limit: limit)
                var response = Response(json: inbox.items.map(InboxItem.init), size: 512 * inbox.items.count)
                let next = inbox.next.map { "<\(path)?order=activity&after=\($0.text)&limit=\(limit)>; rel=\"next\"" }
                response.add("Link", next)
                return response
            }
        }
        let page = try Page.newestFirst(query)
        return .task {
            let chats = try await tenant.ownChats(of: user, page)
            var response = Response(json: chats.items.map(OwnChatItem.init), size: 256 * chats.items.count)
            response.add("Link", chats.links(path: path, page: page, number: \.chat.number.rawValue))
            return response
        }
    }
}

extension Call {
    /// The user in the path of a member. What cannot be one is nobody.
    ///
    /// - Throws: `ChatError.notFound`.
    fileprivate func member() throws(ChatError) -> User.ID {
        guard let text = String(percentEncoded: parameters.member), let user = User.ID(text) else { throw .notFound }
        return user
    }
}
