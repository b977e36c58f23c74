import HTTPTypes
import Hummingbird

/// Refuses requests that pages of other sites can make a browser send without a preflight: requests under a foreign
/// host name (DNS rebinding), and forms.
struct BrowserMiddleware: RouterMiddleware {
    let hosts: AllowedHosts
    let corsOrigin: String?

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        let host = request.head.authority
        let isHandshake = request.headers[.upgrade] != nil
        guard hosts.allows(host, isHandshake: isHandshake, port: context.localPort) else { throw Problem.misdirected }
        // `Origin` first: most requests have none.
        if let origin = request.headers[.origin], request.isForm,
            !Origin.isWelcome(origin, at: host, corsOrigin: corsOrigin)
        {
            throw Problem.foreignOrigin
        }
        return try await next(request, context)
    }
}
