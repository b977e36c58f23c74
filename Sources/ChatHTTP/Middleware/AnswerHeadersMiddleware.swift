import HTTPTypes
import Hummingbird

/// Adds the headers that keep an answer out of caches and out of other sites' pages. With CORS, it also lets scripts
/// read the API's headers: Hummingbird exposes them on preflights only, the fetch standard wants it on the answer.
struct AnswerHeadersMiddleware: RouterMiddleware {
    static let exposed = ["Location", "Link", "X-Request-Id", "Retry-After", "Idempotent-Replayed"]

    let hasCORS: Bool

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        response.headers.addProtection(hasCORS: hasCORS)
        if hasCORS, request.headers[.origin] != nil {
            response.headers[.accessControlExposeHeaders] = Self.exposed.joined(separator: ", ")
        }
        return response
    }
}

extension HTTPFields {
    private static let noStore = HTTPField(name: .cacheControl, value: "no-store")
    private static let noSniff = HTTPField(name: .xContentTypeOptions, value: "nosniff")
    /// Not `cross-origin`, even with CORS: browsers check it for requests without CORS only.
    private static let sameOrigin = HTTPField(name: .crossOriginResourcePolicy, value: "same-origin")

    /// Adds the headers that protect a tenant's data, unless the answer sets them itself: no cache keeps it, no browser
    /// guesses another type, and no page of another origin embeds it.
    ///
    /// - Parameter hasCORS: whether the answer may depend on the request's `Origin`: then `Vary` names it.
    mutating func addProtection(hasCORS: Bool) {
        if hasCORS { self[.vary] = "Origin" }
        for field in [Self.noStore, Self.noSniff, Self.sameOrigin] where !contains(field.name) { append(field) }
    }
}
