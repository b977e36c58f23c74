import ChatCore
import HTTPTypes
import NIOCore

/// Live messages of many chats, and sending, over one WebSocket.
struct SocketController {
    let scopes: Scopes
    let limits: LiveLimits
    let corsOrigin: String?
    let budget: ByteBudget
    let metrics: LiveMetrics

    func add(to routes: Routes) {
        routes.on(.get, "/applications/{token}/socket", scopes.tenant([.read, .write], connect))
    }

    /// Refuses with a problem, before the connection leaves HTTP.
    @Sendable private func connect(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let request = call.request
        let accept = try WebSocketHandshake.accept(request)
        // CORS does not cover WebSockets: browsers open one from any page, and only name the page's origin.
        guard Origin.isWelcome(request.headers[.origin], at: request.headers[.host], corsOrigin: corsOrigin) else {
            throw Problem.foreignOrigin
        }
        let (limits, metrics, budget, client) = (limits, metrics, budget, call.client)
        return .task {
            let opening = try await tenant.access.open()
            var response = Response(status: .switchingProtocols)
            response.add("Upgrade", "websocket")
            response.add("Connection", "upgrade")
            response.add("Sec-WebSocket-Accept", accept)
            response.departure = .upgrade {
                let intake = SocketIntake(client: client, budget: budget)
                return [
                    ByteToMessageHandler(FrameDecoder(intake: intake)),
                    WebSocketHandler(
                        tenant: tenant, opening: opening, limits: limits, metrics: metrics, intake: intake),
                ]
            }
            return response
        }
    }
}
