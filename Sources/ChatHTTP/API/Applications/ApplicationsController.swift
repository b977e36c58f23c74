import ChatCore
import Hummingbird

struct ApplicationsController {
    let service: ChatService
    let scopes: Scopes

    private static let name = TextParameter(wrapper: "application", name: "name")

    func add(to routes: Routes) {
        routes.onJSON(.post, "/applications", create)
        routes.onJSON(.get, "/applications/{token}", scopes.tenant(show))
        routes.onJSON(.patch, "/applications/{token}", scopes.tenant(update))
        routes.onJSON(.put, "/applications/{token}", scopes.tenant(update))
        routes.onJSON(.get, "/applications/{token}/message_count", scopes.tenant(messageCount))
    }

    private func create(_ request: Request, _ context: ChatContext) async throws -> Response {
        let name = try await Self.name.read(request.wholeBody())
        let token = try await service.createTenant(name: name)
        return .created(at: "/applications/\(token.text)", ApplicationAnswer(name: name, token: token))
    }

    private func show(_ request: Request, _ context: ChatContext, _ tenant: TenantScope) async throws -> Response {
        Response(json: ApplicationDetailsAnswer(tenant: try await tenant.details()))
    }

    private func update(_ request: Request, _ context: ChatContext, _ tenant: TenantScope) async throws -> Response {
        let name = try await Self.name.read(request.wholeBody())
        try await tenant.rename(to: name)
        return Response(json: ApplicationAnswer(name: name, token: tenant.token))
    }

    private func messageCount(
        _ request: Request, _ context: ChatContext, _ tenant: TenantScope
    ) async throws -> Response {
        Response(json: ApplicationCountAnswer(token: tenant.token, count: try await tenant.messageCount()))
    }
}

extension Response {
    /// A 201 with its `Location`.
    static func created(at location: String, _ value: some JSONWritable) -> Response {
        var response = Response(status: .created, json: value)
        response.headers[.location] = location
        return response
    }
}
