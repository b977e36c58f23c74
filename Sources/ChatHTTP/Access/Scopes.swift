import ChatCore

/// Identifies the caller, the application and the chat of a request for all routes, before it calls their endpoints. It
/// finds what is cached on the event loop; a task looks up the rest.
struct Scopes {
    let service: ChatService

    /// An endpoint for a path with an application's name.
    ///
    /// - Parameters:
    ///   - needs: what the caller must be allowed, one of these; checked before anything else is looked up.
    ///   - orIsUser: whether that does not hold for users, whose roles decide.
    ///   - shown: finds the credentials in a request, but for the path.
    func tenant(
        _ needs: Abilities, orIsUser: Bool = false,
        showing shown: @escaping @Sendable (Request) -> Authorization = { $0.authorization },
        _ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult
    ) -> Endpoint {
        { [service] call in
            let credentials = Credentials(
                application: call.parameters.token, authorization: shown(call.request))
            if let access = try service.knownAccess(credentials) {
                return try endpoint(call, Self.tenant(access, needs, orIsUser: orIsUser, call))
            }
            return .task {
                let access = try await service.access(credentials)
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try await endpoint(call, tenant).response()
            }
        }
    }

    private static func tenant(
        _ access: Access, _ needs: Abilities, orIsUser: Bool, _ call: Call
    ) throws(ChatError) -> TenantScope {
        if let deprecation = access.deprecation { call.say(deprecation) }
        if !orIsUser || access.user == nil { try access.require(needs) }
        // What only reads or writes messages leaves nothing in the audit.
        guard needs.isDisjoint(with: [.read, .write]) else { return access.tenant }
        var access = access
        access.source = call.source
        return access.tenant
    }

    /// An endpoint for a path with an application's name and a chat's number.
    func chat(
        _ needs: Abilities, orIsUser: Bool = false,
        showing shown: @escaping @Sendable (Request) -> Authorization = { $0.authorization },
        _ endpoint: @escaping @Sendable (Call, ChatScope) throws -> EndpointResult
    ) -> Endpoint {
        tenant(needs, orIsUser: orIsUser, showing: shown) { call, tenant in
            if let chat = tenant.knownChat(call.parameters.chatNumber) { return try endpoint(call, chat) }
            return .task { try await endpoint(call, tenant.chat(call.parameters.chatNumber)).response() }
        }
    }
}

extension EndpointResult {
    /// Waits for the answer: for an endpoint that is called in a task.
    func response() async throws -> Response {
        switch self {
        case .now(let response): response
        case .task(let body), .wait(let body): try await body()
        case .later(let start):
            try await withCheckedThrowingContinuation { continuation in
                start { continuation.resume(with: $0) }
            }
        }
    }
}
