import ChatCore
import HTTPTypes

struct ApplicationsController {
    let service: ChatService
    let scopes: Scopes

    private static let name = TextParameter(wrapper: "application", name: "name")

    func add(to routes: Routes) {
        routes.onJSON(.post, "/applications", takesBody: true, create)
        routes.onJSON(.get, "/applications/{token}", scopes.tenant(show))
        routes.onJSON(.patch, "/applications/{token}", takesBody: true, scopes.tenant(update))
        routes.onJSON(.put, "/applications/{token}", takesBody: true, scopes.tenant(update))
        routes.onJSON(.get, "/applications/{token}/message_count", scopes.tenant(messageCount))
    }

    @Sendable private func create(_ call: Call) throws -> EndpointResult {
        let name = try Self.name.read(call.request.typedBody())
        return .task { [service] in
            let token = try await service.createTenant(name: name)
            return .created(at: "/applications/\(token.text)", ApplicationAnswer(name: name, token: token))
        }
    }

    @Sendable private func show(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: ApplicationDetailsAnswer(tenant: try await tenant.details())) }
    }

    @Sendable private func update(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let name = try Self.name.read(call.request.typedBody())
        return .task {
            try await tenant.rename(to: name)
            return Response(json: ApplicationAnswer(name: name, token: tenant.token))
        }
    }

    @Sendable private func messageCount(_ call: Call, _ tenant: TenantScope) -> EndpointResult {
        .task { Response(json: ApplicationCountAnswer(token: tenant.token, count: try await tenant.messageCount())) }
    }
}
