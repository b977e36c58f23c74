import ChatCore
import HTTPTypes
import Hummingbird
import NIOCore

/// Live messages of many chats, and sending, over one WebSocket.
struct SocketController {
    let scopes: Scopes
    let limits: LiveLimits
    let corsOrigin: String?
    let budget: ByteBudget
    let metrics: LiveMetrics

    func add(to routes: Routes) {
        routes.on(.get, "/applications/{token}/socket", scopes.tenant(connect))
    }

    /// Refuses with a problem, before the connection leaves HTTP.
    private func connect(_ request: Request, _ context: ChatContext, _ tenant: TenantScope) async throws -> Response {
        let headers = try WebSocketHandshake.answer(request)
        // CORS does not cover WebSockets: browsers open one from any page, and only name the page's origin.
        let (origin, host) = (request.headers[.origin], request.head.authority)
        guard Origin.isWelcome(origin, at: host, corsOrigin: corsOrigin) else { throw Problem.foreignOrigin }
        let (limits, metrics, budget, client) = (limits, metrics, budget, context.client)
        let opening = try await tenant.access.open()
        let mayConnect = try await context.leaveHTTP(.upgrade) { _ in
            let intake = SocketIntake(client: client, budget: budget)
            return [
                ByteToMessageHandler(FrameDecoder(intake: intake)),
                WebSocketHandler(
                    tenant: tenant, opening: opening, limits: limits, metrics: metrics, intake: intake),
            ]
        }
        guard mayConnect else { throw Problem.upgradeRequired }
        return Response(status: .switchingProtocols, headers: headers)
    }
}
