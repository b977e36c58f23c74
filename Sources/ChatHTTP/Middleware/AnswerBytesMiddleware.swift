import Hummingbird

/// Counts a large answer from when it is made until it is with its connection, where the `ConnectionGuard` counts it: a client
/// that asks for many and reads none has one of them waiting here. Refuses it when its client holds too much already.
struct AnswerBytesMiddleware: RouterMiddleware {
    let budget: ByteBudget

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        guard let size = response.body.contentLength, size > ByteBudget.small else { return response }
        // What was stored is answered for, and health always.
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
