import ChatCore
import HTTPTypes

struct ApplicationsController {
    let service: ChatService
    let scopes: Scopes

    private static let name = TextParameter(wrapper: "application", name: "name")
    private static let pathToken = TextParameter(wrapper: "application", name: "path_token")

    func add(to routes: Routes) {
        routes.onJSON(.post, "/applications", takesBody: true, create)
        routes.onJSON(.get, "/applications", list)
        routes.onJSON(.get, "/applications/{token}", scopes.tenant(.read, show))
        routes.onJSON(.patch, "/applications/{token}", takesBody: true, scopes.tenant(.admin, update))
        routes.onJSON(.put, "/applications/{token}", takesBody: true, scopes.tenant(.admin, update))
        routes.onJSON(.get, "/applications/{token}/message_count", scopes.tenant(.read, messageCount))
    }

    @Sendable private func create(_ call: Call) throws -> EndpointResult {
        let authorization = call.request.authorization
        try service.checkMayCreateTenant(authorization)
        let name = try Self.name.read(call.request.typedBody())
        return .task { [service] in
            let tenant = try await service.createTenant(
                name: name, by: authorization, from: call.client, source: call.source)
            return .created(
                at: "/applications/\(tenant.token.text)", NewApplicationAnswer(name: name, tenant: tenant))
        }
    }

    @Sendable private func list(_ call: Call) throws -> EndpointResult {
        let authorization = call.request.authorization
        return .task { [service] in
            let admin = try await service.admin(authorization, from: call.client)
            let (limit, after) = try Page.applications(QueryItems(call.request.query))
            let (tenants, hasMore) = try await admin.tenants(after: after, limit: limit)
            var response = Response(json: tenants.map(ApplicationItem.init), size: 256 * tenants.count)
            if hasMore, let last = tenants.last {
                response.add("Link", "</applications?after=\(last.publicID)&limit=\(limit)>; rel=\"next\"")
            }
            return response
        }
    }

    @Sendable private func show(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task {
            Response(
                json: ApplicationDetailsAnswer(
                    tenant: try await tenant.details(), id: tenant.name, isForKey: tenant.access.showsKey))
        }
    }

    @Sendable private func update(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let body = try call.request.typedBody()
        let pathToken = try Self.pathToken.find(body).map { text throws(ChatError) in
            guard let value = Tenant.PathToken(name: text) else {
                throw .invalid(["Path_token must be credential, identifier or off"])
            }
            return value
        }
        let rules = try RulesRequest(body).change
        let mayLackName = pathToken != nil || !rules.isEmpty
        let name = mayLackName ? try Self.name.find(body) : try Self.name.read(body)
        return .task {
            let updated = try await tenant.update(
                name: name, pathToken: pathToken, rules: rules.isEmpty ? nil : rules)
            return Response(
                json: ApplicationAnswer(
                    name: updated.name, id: tenant.name, pathToken: pathToken,
                    limits: rules.limits == nil ? nil : updated.rules?.limits,
                    origins: rules.origins == nil ? nil : updated.rules?.origins, receipts: rules.receipts,
                    presence: rules.presence))
        }
    }

    @Sendable private func messageCount(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: ApplicationCountAnswer(id: tenant.name, count: try await tenant.messageCount())) }
    }
}

extension TenantScope {
    /// The application's path in the API, as the request has it.
    var path: String { "/applications/\(name.text)" }
}
