import ChatCore
import HTTPTypes
import NIOCore
import Synchronization

/// Live messages of many chats, and sending, over one WebSocket.
struct SocketController {
    let service: ChatService
    let scopes: Scopes
    let limits: LiveLimits
    let corsOrigin: String?
    let budget: ByteBudget
    let metrics: LiveMetrics
    private let lobby: SocketLobby

    init(
        service: ChatService, scopes: Scopes, limits: LiveLimits, corsOrigin: String?, budget: ByteBudget,
        metrics: LiveMetrics
    ) {
        self.service = service
        self.scopes = scopes
        self.limits = limits
        self.corsOrigin = corsOrigin
        self.budget = budget
        self.metrics = metrics
        self.lobby = SocketLobby(capacity: limits.waiting)
    }

    func add(to routes: Routes) {
        let known = scopes.tenant(
            [.read, .write], as: .stream, showing: { $0.socketAuthorization }, connect)
        routes.on(.get, "/applications/{token}/socket") { call in
            do {
                let result = try known(call)
                return .task {
                    do { return try await result.response() } catch ChatError.unauthorized(.required) {
                        return try wait(call)
                    }
                }
            } catch ChatError.unauthorized(.required) {
                return .now(try wait(call))
            }
        }
    }

    /// Refuses with a problem, before the connection leaves HTTP.
    @Sendable private func connect(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let accepted = try accept(call)
        return .task { [client = call.client] in
            let opening = try await tenant.access.open(holding: tenant.access.openStream())
            var response = accepted
            response.tenant = tenant.id
            response.departure = .upgrade { place in
                let intake = SocketIntake(client: client, budget: budget)
                return [
                    ByteToMessageHandler(FrameDecoder(intake: intake)),
                    handler(tenant, opening, nil, intake, place.turns),
                ]
            }
            return response
        }
    }

    /// Opens a connection to a client that has shown nothing yet: its first message must.
    private func wait(_ call: Call) throws -> Response {
        // What is no handshake is told that it needs credentials, as ever.
        guard call.request.method == .get, call.request.headers.list(.upgrade, has: "websocket") else {
            throw ChatError.unauthorized(.required)
        }
        // The origin is looked at with the token: before, a refusal would tell of the application.
        var response = try accept(call, isKnown: false)
        let guest = SocketGuest(
            service: service, application: String(call.parameters.token), client: call.client,
            isForeign: !isWelcome(call.request), page: call.request.foreignOrigin(corsOrigin: corsOrigin))
        response.departure = .upgrade { [lobby] place in
            let intake = SocketIntake(client: guest.client, budget: budget)
            let greeter = SocketGreeter(client: guest.client, lobby: lobby) { token in
                try await guest.access(token)
            } makeHandler: {
                place.belongs(to: $0.id) ? handler($0, $1, $2, intake, place.turns) : nil
            }
            return [ByteToMessageHandler(FrameDecoder(intake: intake)), greeter]
        }
        return response
    }

    private func handler(
        _ tenant: TenantScope, _ opening: Opening, _ greeting: AuthenticatedAnswer?, _ intake: SocketIntake,
        _ turns: LoopTurns
    ) -> WebSocketHandler {
        WebSocketHandler(
            tenant: tenant, opening: opening, greeting: greeting, limits: limits, metrics: metrics, intake: intake,
            turns: turns)
    }

    /// CORS does not cover WebSockets: browsers open one from any page, and only name the page's origin.
    private func isWelcome(_ request: Request) -> Bool {
        Origin.isWelcome(request.headers[.origin], at: request.headers[.host], corsOrigin: corsOrigin)
    }

    /// The 101, without what comes after it.
    ///
    /// - Parameter isKnown: whether the application is known, and may allow the page.
    private func accept(_ call: Call, isKnown: Bool = true) throws -> Response {
        let request = call.request
        let accept = try WebSocketHandshake.accept(request)
        if isKnown, call.crossOrigin.load(ordering: .relaxed) != .allowed, !isWelcome(request) {
            throw Problem.foreignOrigin
        }
        var response = Response(status: .switchingProtocols)
        response.add("Upgrade", "websocket")
        response.add("Connection", "upgrade")
        response.add("Sec-WebSocket-Accept", accept)
        // Never the one with the token.
        if request.subprotocols.contains(where: { $0.utf8.elementsEqual("luciq.v1".utf8) }) {
            response.add("Sec-WebSocket-Protocol", "luciq.v1")
        }
        return response
    }
}

/// Who has opened a WebSocket without showing anything.
private struct SocketGuest: Sendable {
    let service: ChatService
    /// The application in the path.
    let application: String
    let client: IPAddress
    /// Whether it is a page that is not the server's own and not of `CORS_ORIGIN`.
    let isForeign: Bool
    /// That page's origin, as browsers write it; nil if it is none, such as `null`.
    let page: String?

    /// - Throws: the errors of `ChatService.access`; `ChatError.notAllowed` for a page whose origin the application has not
    ///   set.
    func access(_ token: String) async throws -> (TenantScope, Opening) {
        let access = try await service.access(
            Credentials(application: application[...], authorization: .userToken(token), client: client))
        try access.require([.read, .write])
        if isForeign {
            guard let page, access.allows(page) else { throw ChatError.notAllowed }
        }
        _ = try await access.pay(.stream)
        return (access.tenant, try await access.open(holding: access.openStream()))
    }
}

extension Request {
    fileprivate var subprotocols: [Substring] {
        headers.values(of: .secWebSocketProtocol).flatMap { $0.split(separator: ",") }.map(\.trimmedOfBlanks)
    }

    /// The header, or the token among the subprotocols: a browser's WebSocket can send nothing else.
    fileprivate var socketAuthorization: Authorization {
        guard headers.has(.secWebSocketProtocol) else { return authorization }
        let prefix = "luciq.token."
        let tokens = subprotocols.filter { $0.utf8.starts(with: prefix.utf8) }
        guard let token = tokens.first else { return authorization }
        guard tokens.count == 1, case .none = authorization else { return .several }
        return .userToken(String(token.dropFirst(prefix.count)))
    }
}

extension Substring {
    fileprivate var trimmedOfBlanks: Substring {
        var text = drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
