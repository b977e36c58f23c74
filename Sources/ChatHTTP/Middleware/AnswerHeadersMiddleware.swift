import HTTPTypes
import Hummingbird

/// Gives every answer what keeps it out of caches and out of other sites' pages and, with CORS, lets a browser's script
/// read the headers of the contract. Hummingbird says that on preflights only; the fetch standard wants it on the answer.
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
    /// Not `cross-origin` with CORS either: it is looked at for requests that do not ask by CORS.
    private static let sameOrigin = HTTPField(name: .crossOriginResourcePolicy, value: "same-origin")

    /// Adds what an answer with a tenant's data needs, where it says nothing else: no cache keeps it, no browser takes it
    /// for another type, and no page of another origin embeds it.
    ///
    /// - Parameter hasCORS: whether the answer may depend on the request's `Origin`. `Vary` says so on every answer.
    mutating func addProtection(hasCORS: Bool) {
        if hasCORS { self[.vary] = "Origin" }
        for field in [Self.noStore, Self.noSniff, Self.sameOrigin] where !contains(field.name) { append(field) }
    }
}
