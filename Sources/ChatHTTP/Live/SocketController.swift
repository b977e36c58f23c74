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
        routes.on(.get, "/applications/{token}/socket", scopes.tenant(connect))
    }

    /// All that can be refused is refused as a problem.
    @Sendable private func connect(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let request = call.request
        let accept = try WebSocketHandshake.accept(request)
        // Browsers open a socket from any page without asking, as they ask before other requests (CORS); they only say
        // which page it is.
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
