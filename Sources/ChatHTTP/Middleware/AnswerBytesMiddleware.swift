import Hummingbird

/// Counts a large answer until the connection takes it; from then on the `ConnectionGuard` counts it. A client that
/// pipelines many requests and reads no answer has one of them waiting here. Refuses the answer to a GET if the client
/// holds too much memory already.
struct AnswerBytesMiddleware: RouterMiddleware {
    let budget: ByteBudget

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        guard let size = response.body.contentLength, size > ByteBudget.small else { return response }
        // Writes are always answered, and so are health checks.
        let mayRefuse = request.method == .get && !HealthController.paths.contains(context.endpointPath ?? "")
        guard !mayRefuse || !budget.isSpent(for: context.client) else { throw Problem.slowClients }
        let (body, memory) = (response.body, HeldBytes(size, of: context.client, in: budget))
        response.body = ResponseBody(contentLength: size) { writer in
            try await body.write(writer)
            withExtendedLifetime(memory) {}
        }
        return response
    }
}
