import ChatCore
import HTTPTypes
import NIOCore

/// The users of an application.
struct UsersController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/users"
        routes.onJSON(.get, path, scopes.tenant(.members, list))
        routes.on(.get, path + "/me", scopes.tenant(.all, me))
        routes.on(.get, path + "/{user}", scopes.tenant([.members, .read], show))
        routes.on(.put, path + "/{user}", takesBody: true, scopes.tenant(.members, put))
        routes.on(.patch, path + "/{user}", takesBody: true, scopes.tenant([.members, .write], update))
        routes.on(.post, path + "/{user}/block", takesBody: true, scopes.tenant(.members, block))
        routes.on(.post, path + "/{user}/unblock", takesBody: true, scopes.tenant(.members, unblock))
        routes.on(.post, path + "/{user}/revoke", takesBody: true, scopes.tenant(.members, revoke))
    }

    @Sendable private func me(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        guard let user = tenant.access.userToken?.user else { throw ChatError.notAllowed }
        return .task { Response(json: UserAnswer(user: try await tenant.user(user))) }
    }

    @Sendable private func list(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let (limit, after) = try Page.users(QueryItems(call.request.query))
        return .task {
            let (users, hasMore) = try await tenant.users(after: after, limit: limit)
            var response = Response(json: users.map(UserAnswer.init))
            if hasMore {
                response.add("Link", Page.link(path: "\(tenant.path)/users", after: users.last?.id, limit: limit))
            }
            return response
        }
    }

    @Sendable private func show(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        try tenant.checkMayRead(call.parameters.user)
        let id = try call.user()
        return .task { Response(json: UserAnswer(user: try await tenant.user(id))) }
    }

    @Sendable private func put(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.user()
        let request = try UserRequest(call.request.typedBody())
        let metadata = try request.metadata.flatMap { json throws(ChatError) in
            json.elementsEqual("null".utf8) ? nil : try Metadata.object(json)
        }
        let name = request.name ?? nil
        return .task { Response(json: UserAnswer(user: try await tenant.putUser(id, name: name, metadata: metadata))) }
    }

    @Sendable private func update(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        try tenant.checkMayRead(call.parameters.user)
        let id = try call.user()
        let request = try UserRequest(call.request.typedBody())
        let patch = UserPatch(name: request.name, metadata: request.metadata)
        return .task { Response(json: UserAnswer(user: try await tenant.updateUser(id, patch))) }
    }

    @Sendable private func block(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.user()
        return .task { Response(json: UserAnswer(user: try await tenant.block(id))) }
    }

    @Sendable private func unblock(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.user()
        return .task { Response(json: UserAnswer(user: try await tenant.unblock(id))) }
    }

    @Sendable private func revoke(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let id = try call.user()
        return .task { Response(json: UserAnswer(user: try await tenant.revokeTokens(of: id))) }
    }
}

extension Call {
    /// - Throws: `ChatError.notFound` for what is no user's id.
    func user() throws(ChatError) -> User.ID {
        guard let text = String(percentEncoded: parameters.user), let id = User.ID(text) else { throw .notFound }
        return id
    }
}

extension TenantScope {
    /// A user asks about itself alone. What is no id is nobody's.
    ///
    /// - Throws: `ChatError.notAllowed`.
    fileprivate func checkMayRead(_ text: Substring) throws(ChatError) {
        guard let own = access.userToken?.user else { return try access.require(.members) }
        guard String(percentEncoded: text).flatMap({ User.ID($0) }) == own else { throw .notAllowed }
    }
}

/// `{"name":"Ada","metadata":{"team":"blue"}}`; each may be absent or null. A form has the name alone.
private struct UserRequest {
    /// Nil inside for null.
    private(set) var name: String??
    /// The JSON as it was sent.
    private(set) var metadata: [UInt8]?

    /// - Throws: a `Problem` (400, 415); `ChatError.invalid`.
    init(_ body: RequestBody) throws {
        switch body {
        case .json(let json):
            let bytes = Array(json.readableBytesView)
            try JSONReader.read(json) { [bytes] member, reader in
                switch member {
                case "name":
                    if reader.current == UInt8(ascii: "n") {
                        try reader.literal("null")
                        name = .some(nil)
                    } else {
                        name = try reader.scalar()
                    }
                case "metadata":
                    let start = reader.offset
                    try reader.value()
                    metadata = Array(bytes[start..<reader.offset])
                default: try reader.value()
                }
            }
        case .form(let form):
            try FormBody.read(form) { names, value in
                if names.count == 1, names[0].elementsEqual("name".utf8) { name = value }
            }
        }
    }
}

struct UserAnswer: JSONWritable {
    let user: User

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", user.id.text)
            json.member("name", user.name)
            json.member("metadata", RawJSON(text: user.metadata ?? "null"))
            json.member("created_at", user.createdAt)
            json.member("blocked_at", user.blockedAt?.rfc3339)
            json.member("tokens_valid_after", user.validAfter?.rfc3339)
        }
    }
}
