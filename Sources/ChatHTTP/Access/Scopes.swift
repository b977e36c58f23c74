import ChatCore
import Hummingbird

/// Who asks, the application and the chat of a request: found here for all routes, before their handlers are called.
struct Scopes {
    let service: ChatService

    /// A handler for a path with an application's token.
    func tenant(
        _ handler: @escaping @Sendable (Request, ChatContext, TenantScope) async throws -> Response
    ) -> Routes.Handler {
        { [service] request, context in
            let access = try await service.access(Credentials(pathToken: context.parameter("token")))
            return try await handler(request, context, access.tenant)
        }
    }

    /// A handler for a path with a chat's number as well.
    func chat(
        _ handler: @escaping @Sendable (Request, ChatContext, ChatScope) async throws -> Response
    ) -> Routes.Handler {
        tenant { request, context, tenant in
            try await handler(request, context, tenant.chat(context.parameter("chat_number")))
        }
    }
}
