import ChatCore
import HTTPTypes
import Logging
import Metrics
import NIOCore
import Synchronization

/// From a request to its answer: the checks of every request, its endpoint, error answers, log and metrics.
final class API: Sendable {
    /// Where a request goes, decided from its head.
    enum Destination: Sendable {
        case endpoint(Routes.Entry, PathParameters)
        /// A browser asks with CORS whether a page may send a request.
        case preflight
        /// The same for a path of an application, which may allow it.
        ///
        /// - Parameters:
        ///   - name: of the application in the path.
        ///   - otherwise: what to answer if it does not; nil: a preflight's answer for the server's own origin.
        case applicationPreflight(name: String, otherwise: Problem?)
        /// - Parameter route: the path's pattern for the log; nil if no route has the path.
        case refused(Problem, route: String?)

        var route: String? {
            switch self {
            case .endpoint(let entry, _): entry.route.path
            case .refused(_, let route): route
            case .preflight, .applicationPreflight: nil
            }
        }
    }

    /// Bodies that are parsed on the event loop, in bytes. Longer ones would delay its other connections.
    private static let shortBody = 4 << 10

    private let routes: Routes
    private let hosts: AllowedHosts
    private let corsOrigin: String?
    /// Knows the origins of applications; nil for a server without any.
    private let service: ChatService?
    /// The CORS headers of answers to pages of other origins, as lines.
    private let corsAnswer: String
    /// The same for the origin of an application, which follows.
    private let applicationCORSAnswer: String
    private let preflight: Response
    private let metrics: RequestMetrics
    private let log: any RequestLog
    private let logger: Logger

    init(
        _ routes: Routes, options: HTTPOptions, service: ChatService?, metrics: RequestMetrics, logger: Logger
    ) {
        self.routes = routes
        self.service = service
        self.hosts = AllowedHosts(options.allowedHosts, listeningOn: options.host)
        self.corsOrigin = options.corsOrigin
        self.metrics = metrics
        self.logger = logger
        self.log = (logger.handler as? any RequestLog) ?? LoggedRequests(logger: logger)
        // Browsers compare it byte for byte with the spelling that they use.
        let allowed = options.corsOrigin.map { $0 == "*" ? "*" : Origin($0)?.description ?? $0 } ?? ""
        let exposed =
            "Location, Link, ETag, X-Request-Id, Retry-After, Idempotent-Replayed, Luciq-Search, Luciq-Cursor, WWW-Authenticate, "
            + "Deprecation, Sunset, RateLimit-Policy, RateLimit"
        applicationCORSAnswer =
            "\r\nVary: Origin\r\nAccess-Control-Expose-Headers: \(exposed)\r\nAccess-Control-Allow-Origin: "
        corsAnswer = applicationCORSAnswer + allowed
        var preflight = Response(status: .noContent)
        preflight.add(
            "Access-Control-Allow-Headers",
            "accept, authorization, content-type, origin, idempotency-key, if-match, x-request-id, last-event-id")
        preflight.add("Access-Control-Allow-Methods", "GET, POST, PATCH, PUT, DELETE, HEAD, OPTIONS")
        self.preflight = preflight
    }

    /// - Parameters:
    ///   - loop: of the connection's event loop.
    ///   - port: the local port of the connection.
    func destination(of request: Request, on loop: LoopState, port: @autoclosure () -> Int?) -> Destination {
        let isPreflight = request.method == .options && request.headers.has(.origin)
        if corsOrigin != nil, isPreflight {
            guard service != nil, foreignOrigin(of: request) != nil, let match = routes.match(request.path),
                !match.parameters.token.isEmpty
            else { return .preflight }
            return .applicationPreflight(name: String(match.parameters.token), otherwise: nil)
        }
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
            let problem = Problem.methodNotAllowed(request.method, allow: match.methods)
            guard isPreflight, service != nil, !match.parameters.token.isEmpty else {
                return .refused(problem, route: match.path)
            }
            return .applicationPreflight(name: String(match.parameters.token), otherwise: problem)
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
        case .endpoint(let entry, _): return run(entry, call)
        case .refused(let problem, _): return .failure(problem)
        case .preflight: return .success(.now(preflight))
        case .applicationPreflight(let name, let problem):
            return .success(
                .task { [self] in
                    // A refusal does not tell whether the application has other origins, or is there at all.
                    if let origin = foreignOrigin(of: call.request),
                        try await service?.allows(origin, of: name[...]) == true
                    {
                        call.crossOrigin.store(.allowed, ordering: .relaxed)
                    } else if let problem {
                        throw problem
                    }
                    return preflight
                })
        }
    }

    private func run(_ entry: Routes.Entry, _ call: Call) -> Result<EndpointResult, any Error> {
        call.request.body.readableBytes > Self.shortBody
            ? .success(.task { try await entry.endpoint(call).response() })
            : Result { try entry.endpoint(call) }
    }

    /// The origin of the page that sends the request, as browsers write it, if it is not this server's own or
    /// `CORS_ORIGIN`.
    private func foreignOrigin(of request: Request) -> String? {
        request.foreignOrigin(corsOrigin: corsOrigin)
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
    func corsLines(for call: Call?) -> String {
        switch call?.crossOrigin.load(ordering: .relaxed) {
        case .allowed: return applicationCORSAnswer + (call?.request.headers[.origin] ?? "")
        case .varies where corsOrigin == nil: return "\r\nVary: Origin"
        case .varies, .some(.none), nil: break
        }
        guard corsOrigin != nil else { return "" }
        guard let call, call.request.headers.has(.origin) else { return "\r\nVary: Origin" }
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
                requestID: call.requestID, client: call.address, method: method, route: route, status: status.code,
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
