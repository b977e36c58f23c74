import ChatCore
import HTTPTypes
import NIOCore

/// User tokens for the page at `/`, on a server on this machine that anyone may use. Elsewhere there is no such path.
struct DemoTokensController {
    let scopes: Scopes

    private static let user = TextParameter(wrapper: "token", name: "user")

    func add(to routes: Routes) {
        let create = scopes.tenant(.admin, create)
        routes.on(.post, "/applications/{token}/demo-tokens", takesBody: true) { call in
            guard call.isLocal else { throw Problem.notFound }
            return try create(call)
        }
    }

    @Sendable private func create(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        guard let user = DemoUser(id: try Self.user.read(call.request.typedBody())) else {
            throw ChatError.invalid([
                "User must be one of \(DemoUser.allCases.map(\.id.text).joined(separator: ", "))"
            ])
        }
        return .task {
            let (token, expiresAt) = try await tenant.demoToken(for: user)
            return Response(status: .created, json: DemoTokenAnswer(user: user, token: token, expiresAt: expiresAt))
        }
    }
}

struct DemoTokenAnswer: JSONWritable {
    let user: DemoUser
    let token: String
    let expiresAt: Timestamp

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("user", user.id.text)
            json.member("name", user.name)
            json.member("token", token)
            json.member("expires_at", expiresAt)
        }
    }
}
