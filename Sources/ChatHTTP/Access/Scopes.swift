import ChatCore

/// Identifies the caller, the application and the chat of a request for all routes, before it calls their endpoints. It
/// finds cached ids on the event loop; a task looks up the others.
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

    /// An endpoint for a path with a token and a chat's number.
    func chat(_ endpoint: @escaping @Sendable (Call, ChatScope) throws -> EndpointResult) -> Endpoint {
        tenant { call, tenant in
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
