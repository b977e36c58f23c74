import HTTPTypes
import Hummingbird

/// Lets a browser's script read the headers of the contract. Hummingbird says it on preflights only; the fetch standard
/// wants it on the answer itself.
struct ExposeHeadersMiddleware: RouterMiddleware {
    static let exposed = ["Location", "Link", "X-Request-Id", "Retry-After", "Idempotent-Replayed"]

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        if request.headers[.origin] != nil {
            response.headers[.accessControlExposeHeaders] = Self.exposed.joined(separator: ", ")
        }
        return response
    }
}
