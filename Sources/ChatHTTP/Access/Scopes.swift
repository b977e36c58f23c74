import ChatCore
import Hummingbird

/// Looks up a request's principal, application and chat for all routes, before their handlers run.
struct Scopes {
    let service: ChatService

    /// A handler of a path with an application's token.
    func tenant(
        _ handler: @escaping @Sendable (Request, ChatContext, TenantScope) async throws -> Response
    ) -> Routes.Handler {
        { [service] request, context in
            let access = try await service.access(Credentials(pathToken: context.parameter("token")))
            return try await handler(request, context, access.tenant)
        }
    }

    /// A handler of a path that also has a chat's number.
    func chat(
        _ handler: @escaping @Sendable (Request, ChatContext, ChatScope) async throws -> Response
    ) -> Routes.Handler {
        tenant { request, context, tenant in
            try await handler(request, context, tenant.chat(context.parameter("chat_number")))
        }
    }
}
