import ChatCore
import HTTPTypes
import Logging
import Metrics
import NIOCore

/// From a request to its answer: the checks of every request, its endpoint, error answers, log and metrics.
final class API: Sendable {
    /// Where a request goes, decided from its head.
    enum Destination: Sendable {
        case endpoint(Routes.Entry, PathParameters)
        /// A browser asks with CORS whether a page may send a request.
        case preflight
        /// - Parameter route: the path's pattern for the log; nil if no route has the path.
        case refused(Problem, route: String?)

        var route: String? {
            switch self {
            case .endpoint(let entry, _): entry.route.path
            case .refused(_, let route): route
            case .preflight: nil
            }
        }
    }

    /// Bodies that are parsed on the event loop, in bytes. Longer ones would delay its other connections.
    private static let shortBody = 4 << 10

    private let routes: Routes
    private let hosts: AllowedHosts
    private let corsOrigin: String?
    /// The CORS headers of answers to pages of other origins, as lines.
    private let corsAnswer: String
    private let preflight: Response
    private let metrics: RequestMetrics
    private let log: any RequestLog
    private let logger: Logger

    init(_ routes: Routes, options: HTTPOptions, metrics: RequestMetrics, logger: Logger) {
        self.routes = routes
        self.hosts = AllowedHosts(options.allowedHosts, listeningOn: options.host)
        self.corsOrigin = options.corsOrigin
        self.metrics = metrics
        self.logger = logger
        self.log = (logger.handler as? any RequestLog) ?? LoggedRequests(logger: logger)
        // Browsers compare it byte for byte with the spelling that they use.
        let allowed = options.corsOrigin.map { $0 == "*" ? "*" : Origin($0)?.description ?? $0 } ?? ""
        let exposed =
            "Location, Link, X-Request-Id, Retry-After, Idempotent-Replayed, Luciq-Search, WWW-Authenticate, "
            + "Deprecation, Sunset"
        corsAnswer =
            "\r\nVary: Origin\r\nAccess-Control-Allow-Origin: \(allowed)\r\nAccess-Control-Expose-Headers: \(exposed)"
        var preflight = Response(status: .noContent)
        preflight.add(
            "Access-Control-Allow-Headers",
            "accept, authorization, content-type, origin, idempotency-key, x-request-id, last-event-id")
        preflight.add("Access-Control-Allow-Methods", "GET, POST, PATCH, PUT, DELETE, HEAD, OPTIONS")
        self.preflight = preflight
    }

    /// - Parameters:
    ///   - loop: of the connection's event loop.
    ///   - port: the local port of the connection.
    func destination(of request: Request, on loop: LoopState, port: @autoclosure () -> Int?) -> Destination {
        if corsOrigin != nil, request.method == .options, request.headers.has(.origin) { return .preflight }
        if request.path.utf8.count + (request.query.map { $0.utf8.count + 1 } ?? 0) > RequestLimits.uri {
            return .refused(.uriTooLong, route: nil)
        }
        if request.headers.size > RequestLimits.headers { return .refused(.headersTooLarge, route: nil) }
        let match = routes.match(request.path)
        if !hosts.allowsAny, !allowsHost(of: request, loop, port()) {
            return .refused(.misdirected, route: match?.path)
        }
        // Check `Origin` first: most requests have none.
        if request.headers.has(.origin), request.isForm,
            !Origin.isWelcome(request.headers[.origin], at: request.headers[.host], corsOrigin: corsOrigin)
        {
            return .refused(.foreignOrigin, route: match?.path)
        }
        guard let match else { return .refused(.notFound, route: nil) }
        guard let entry = match.entry(for: request.method) else {
            return .refused(.methodNotAllowed(request.method, allow: match.methods), route: match.path)
        }
        return .endpoint(entry, match.parameters)
    }

    private func allowsHost(of request: Request, _ loop: LoopState, _ port: @autoclosure () -> Int?) -> Bool {
        if let known = loop.allowedHost, request.headers.isOnly(.host, known) { return true }
        let host = request.headers[.host]
        let isHandshake = request.headers.has(.upgrade)
        guard hosts.allows(host, isHandshake: isHandshake, port: port()) else { return false }
        // A handshake may have a host that other requests may not.
        if !isHandshake, host != nil { loop.allowedHost = host }
        return true
    }

    func answer(_ call: Call) -> Result<EndpointResult, any Error> {
        switch call.destination {
        case .endpoint(let entry, _) where call.request.body.readableBytes > Self.shortBody:
            .success(.task { try await entry.endpoint(call).response() })
        case .endpoint(let entry, _): Result { try entry.endpoint(call) }
        case .refused(let problem, _): .failure(problem)
        case .preflight: .success(.now(preflight))
        }
    }

    func response(for call: Call, failedWith error: any Error) -> Response {
        problem(error, call).response(requestID: call.requestID.description, as: call.request.problemType)
    }

    private func problem(_ error: any Error, _ call: Call) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as ChatError: return Problem(error)
        case is CancellationError: return Problem(.shuttingDown)
        default:
            logger.error(
                "Unexpected error",
                metadata: [
                    "request_id": .string(call.requestID.description), "error": "\(String(reflecting: error))",
                ])
            return .internalError
        }
    }

    /// The CORS headers of an answer, as lines. Every answer has `Vary`: it may depend on the request's `Origin`.
    func corsLines(for request: Request?) -> String {
        guard corsOrigin != nil else { return "" }
        guard let request, request.headers.has(.origin) else { return "\r\nVary: Origin" }
        return corsAnswer
    }

    /// Logs and measures the request, with its route's pattern instead of the path, because the path holds a token.
    func observe(_ call: Call, _ status: HTTPResponse.Status) {
        let duration = NIODeadline.now() - call.start
        let method = call.request.method
        let route = call.destination.route ?? "NotFound"
        func makeTimer() -> Metrics.Timer { metrics.timer(method: method, route: route, status: status) }
        let timer =
            if case .endpoint(let entry, _) = call.destination {
                entry.timer(status: status.code, isHead: call.isHead, make: makeTimer)
            } else {
                makeTimer()
            }
        timer.recordNanoseconds(duration.nanoseconds)
        log.log(
            RequestLine(
                requestID: call.requestID, method: method, route: route, status: status.code,
                microseconds: duration.nanoseconds / 1000))
    }
}

extension Request {
    /// `application/json` for clients that accept only that (HTTParty), so that they parse the problem.
    fileprivate var problemType: StaticString {
        let accept = headers[.accept]?.lowercased() ?? ""
        if accept.contains("application/problem+json") { return Problem.mediaType }
        let isWanted = accept.contains("application/json") || path.hasSuffix(Routes.Route.jsonSuffix)
        return isWanted ? "application/json" : Problem.mediaType
    }
}
