import ChatCore
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// Turns every error into an answer, and refuses heads that are too large before other code reads them.
struct ProblemMiddleware: RouterMiddleware {
    let routes: Routes
    let logger: Logger

    func handle(
        _ request: Request,
        context: ChatContext,
        next: (Request, ChatContext) async throws -> Response
    ) async throws -> Response {
        do {
            try checkSize(of: request)
            guard request.hasPlainPath else {
                // The router may have matched a pattern.
                context.coreContext.endpointPath.value = nil
                throw Problem.notFound
            }
            return try await next(request, context)
        } catch {
            let response = problem(error, request, context).response(
                requestID: context.requestID, as: request.problemType)
            return request.method == .head ? response.createHeadResponse() : response
        }
    }

    private func checkSize(of request: Request) throws {
        if (request.head.path?.utf8.count ?? 0) > RequestLimits.uri { throw Problem.uriTooLong }
        var size = 0
        for field in request.headers { size += field.name.rawName.utf8.count + field.value.utf8.count }
        if size > RequestLimits.headers { throw Problem.headersTooLarge }
    }

    private func problem(_ error: any Error, _ request: Request, _ context: ChatContext) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as ChatError: return Problem(error)
        case is HTTPParserError: return .notHTTP
        case is ByteBudget.Spent: return .slowClients
        // The client left in the middle of its request: nobody reads the answer.
        case is IOError, is ChannelError, is NIOAsyncWriterError: return .notHTTP
        case is CancellationError: return Problem(.shuttingDown)
        case let error as HTTPError where error.status == .notFound:
            guard let match = routes.match(request.uri.path) else { return .notFound }
            context.coreContext.endpointPath.value = match.path
            return .methodNotAllowed(request.method, allow: match.methods)
        default:
            logger.error(
                "Unexpected error",
                metadata: ["request_id": .string(context.requestID), "error": "\(String(reflecting: error))"])
            return .internalError
        }
    }
}

extension Request {
    /// Whether the path has no empty segments. The router takes `//metrics` and `/metrics/` for `/metrics`, and a proxy
    /// that blocks `/metrics` lets them pass.
    fileprivate var hasPlainPath: Bool {
        var path = uri.path
        return path.withUTF8 { path in
            guard path.count > 1 else { return true }
            var previous: UInt8 = 0
            for byte in path {
                if byte == UInt8(ascii: "/"), previous == byte { return false }
                previous = byte
            }
            return previous != UInt8(ascii: "/")
        }
    }

    /// `application/json` for clients that know only that (HTTParty).
    fileprivate var problemType: String {
        let accept = headers[.accept]?.lowercased() ?? ""
        if accept.contains(Problem.mediaType) { return Problem.mediaType }
        let isWanted = accept.contains("application/json") || uri.path.hasSuffix(Routes.Route.jsonSuffix)
        return isWanted ? "application/json" : Problem.mediaType
    }
}
