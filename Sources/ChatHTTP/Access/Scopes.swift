import ChatCore
import HTTPTypes
import Synchronization

/// Identifies the caller, the application and the chat of a request for all routes, before it calls their endpoints. It
/// finds what is cached on the event loop; a task looks up the rest. Then the request pays what its principal's limits
/// ask for.
struct Scopes {
    let service: ChatService
    let corsOrigin: String?

    /// An endpoint for a path with an application's name.
    ///
    /// - Parameters:
    ///   - needs: what the caller must be allowed, one of these; checked before anything else is looked up.
    ///   - orIsUser: whether that does not hold for users, whose roles decide.
    ///   - action: the limit that it counts for; nil: `read` for GET, else `change`.
    ///   - shown: finds the credentials in a request, but for the path.
    func tenant(
        _ needs: Abilities, orIsUser: Bool = false, as action: LimitedAction? = nil,
        showing shown: (@Sendable (Request) -> Authorization)? = nil,
        _ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult
    ) -> Endpoint {
        { [service, corsOrigin] call in
            let method = call.request.method
            let action = action ?? (method == .get || method == .head ? .read : .change)
            let page = call.request.foreignOrigin(corsOrigin: corsOrigin)
            let isPlain = shown == nil && call.request.headers.has(.authorization)
            if isPlain, let (access, charges) = try Self.recent(call, action) {
                call.allow(page, by: access.rules)
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try Self.paid(call, tenant, charges, endpoint)
            }
            let credentials = Credentials(
                application: call.parameters.token, authorization: shown?(call.request) ?? call.request.authorization,
                client: call.client)
            let changes = service.accessChanges
            let known: Access?
            // A page's refusal is looked at in the task.
            do { known = try service.knownAccess(credentials) } catch {
                if page == nil { throw error } else { known = nil }
            }
            if let access = known {
                if isPlain { Self.keep(access, at: changes, call) }
                call.allow(page, by: access.rules)
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try Self.paid(call, tenant, access.charges(action), endpoint)
            }
            return .task {
                let access: Access
                do { access = try await service.access(credentials) } catch {
                    if let page, await service.allows(page, with: credentials, refused: error) {
                        call.crossOrigin.store(.allowed, ordering: .relaxed)
                    }
                    throw error
                }
                call.allow(page, by: access.rules)
                let tenant = try Self.tenant(access, needs, orIsUser: orIsUser, call)
                return try await Self.paid(call, tenant, access.charges(action), endpoint).response()
            }
        }
    }

    /// What the same credentials gave to the request before on the connection.
    private static func recent(
        _ call: Call, _ action: LimitedAction
    ) throws(ChatError) -> (access: Access, charges: [RateCharge<String>])? {
        guard let recent = call.recentAccess else { return nil }
        let found = call.request.headers.withOnlyValue(of: .authorization) { value in
            Result { () throws(ChatError) in
                try recent.access(call.parameters.token, value, from: call.client)
            }
        }
        guard let access = try found?.get() else { return nil }
        return (access, recent.charges(action))
    }

    private static func keep(_ access: Access, at changes: UInt64, _ call: Call) {
        call.recentAccess =
            call.request.headers.withOnlyValue(of: .authorization) { value in
                RecentAccess(call.parameters.token, value, access, at: changes)
            } ?? nil
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
        _ call: Call, _ tenant: TenantScope, _ charges: [RateCharge<String>],
        _ endpoint: @escaping @Sendable (Call, TenantScope) throws -> EndpointResult
    ) throws -> EndpointResult {
        let access = tenant.access
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
        showing shown: (@Sendable (Request) -> Authorization)? = nil,
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
