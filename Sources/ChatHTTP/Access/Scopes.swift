import ChatCore
import HTTPTypes
import Synchronization

/// Identifies the caller, the application and the chat of a request for all routes, before it calls their endpoints. It
/// finds what is cached on the event loop; a task looks up the rest. Then the request pays what its principal's limits
/// ask for.
struct Scopes {
    let service: ChatService

    /// An endpoint for a path with an application's name.
    ///
    /// - Parameters:
    ///   - needs: what the caller must be allowed, one of these; checked before anything else is looked up.
    ///   - orIsUser: whether that does not hold for users, whose roles decide.
    ///   - action: the limit that it counts for; nil: `read` for GET, else `change`.
    ///   - shown: finds the credentials in a request, but for the path.
    func tenant(
        _ needs: Abilities, orIsUser: Bool = false, as action: LimitedAction? = nil,
        showing shown: @escaping @Sendable (Request) -> Authorization = { $0.authorization },
        _ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult
    ) -> Endpoint {
        { [service] call in
            let credentials = Credentials(
                application: call.parameters.token, authorization: shown(call.request), client: call.client)
            if let access = try service.knownAccess(credentials) {
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try Self.paid(call, tenant, action, endpoint)
            }
            return .task {
                let access = try await service.access(credentials)
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try await Self.paid(call, tenant, action, endpoint).response()
            }
        }
    }

    private static func tenant(
        _ access: Access, _ needs: Abilities, orIsUser: Bool, _ call: Call
    ) throws(ChatError) -> TenantScope {
        if let deprecation = access.deprecation { call.say(deprecation) }
        if !orIsUser || access.user == nil { try access.require(needs) }
        // What only reads or creates leaves nothing in the audit.
        guard needs.isDisjoint(with: [.read, .write]) || call.request.method == .patch else { return access.tenant }
        var access = access
        access.source = call.source
        return access.tenant
    }

    private static func paid(
        _ call: Call, _ tenant: TenantScope, _ action: LimitedAction?,
        _ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult
    ) throws -> EndpointResult {
        let access = tenant.access
        if access.rules?.origins.isEmpty == false {
            _ = call.crossOrigin.compareExchange(expected: .none, desired: .varies, ordering: .relaxed)
        }
        let method = call.request.method
        let charges = access.charges(action ?? (method == .get || method == .head ? .read : .change))
        if charges.isEmpty { return try endpoint(call, tenant) }
        if let units = try access.payNow(charges) { return try endpoint(call, tenant).paid(with: units, by: access) }
        return .task {
            let units = try await access.pay(charges)
            return try await endpoint(call, tenant).response().paid(with: units, by: access)
        }
    }

    /// An endpoint for a path with an application's name and a chat's number.
    func chat(
        _ needs: Abilities, orIsUser: Bool = false, as action: LimitedAction? = nil,
        showing shown: @escaping @Sendable (Request) -> Authorization = { $0.authorization },
        _ endpoint: @escaping @Sendable (Call, ChatScope) throws -> EndpointResult
    ) -> Endpoint {
        tenant(needs, orIsUser: orIsUser, as: action, showing: shown) { call, tenant in
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
