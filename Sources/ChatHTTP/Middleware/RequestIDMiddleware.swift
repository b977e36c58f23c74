import HTTPTypes
import Hummingbird

/// Gives every answer an `X-Request-Id`: the caller's own where it is 1 to 128 printable ASCII characters, else a new one.
struct RequestIDMiddleware: RouterMiddleware {
    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.callersID(request) ?? RequestID().description
        var response = try await next(request, context)
        response.headers[.requestID] = context.requestID
        return response
    }

    private static func callersID(_ request: Request) -> String? {
        guard let id = request.headers[.requestID], (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        return id
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id")!
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let idempotentReplayed = HTTPField.Name("Idempotent-Replayed")!
    static let link = HTTPField.Name("Link")!
}
