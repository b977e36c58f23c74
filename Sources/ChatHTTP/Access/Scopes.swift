import ChatCore

/// Who asks, the application and the chat of a request: found here for all routes, before their endpoints are called. What
/// is known already is found at once; what is not is looked up by a task.
struct Scopes {
    let service: ChatService

    /// An endpoint for a path with an application's token.
    func tenant(_ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult) -> Endpoint {
        { [service] call in
            let credentials = Credentials(pathToken: call.parameters.token)
            if let access = service.knownAccess(credentials) { return try endpoint(call, access.tenant) }
            return .task { try await endpoint(call, service.access(credentials).tenant).response() }
        }
    }

    /// An endpoint for a path with a chat's number as well.
    func chat(_ endpoint: @escaping @Sendable (Call, ChatScope) throws -> EndpointResult) -> Endpoint {
        tenant { call, tenant in
            if let chat = tenant.knownChat(call.parameters.chatNumber) { return try endpoint(call, chat) }
            return .task { try await endpoint(call, tenant.chat(call.parameters.chatNumber)).response() }
        }
    }
}

extension EndpointResult {
    /// Waits for it, in a task.
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
