import ChatCore
import HTTPTypes

/// Which users are online.
struct PresenceController {
    let scopes: Scopes

    func add(to routes: Routes) {
        // Not below `users`: any name there is a user's.
        routes.on(.get, "/applications/{token}/presence", scopes.tenant(.read, list))
    }

    @Sendable private func list(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        guard let users = try call.request.users(in: "users", named: "Users") else {
            throw ChatError.invalid(["Users must be given: their ids, with commas between"])
        }
        return .task { Response(json: try await tenant.presence(of: users)) }
    }
}

extension Request {
    /// The users of a list with commas in the query. An id with a comma cannot be named so.
    ///
    /// - Returns: nil if there is none.
    /// - Throws: `ChatError.invalid`.
    func users(in item: StaticString, named name: String) throws(ChatError) -> [User.ID]? {
        guard let value = QueryItems(query)[item] else { return nil }
        // What is not UTF-8 is nobody's id.
        let names = (value ?? ",").split(separator: ",", omittingEmptySubsequences: false)
        return try Presence.users(names.map(String.init), named: name)
    }
}
