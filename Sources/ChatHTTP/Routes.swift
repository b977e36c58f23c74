package import HTTPTypes
package import Hummingbird
import Synchronization

/// The router, and a list of what was registered with it: for 405 answers, and for the test that compares the routes
/// with openapi.yaml.
package final class Routes: Sendable {
    package struct Route: Hashable, Sendable {
        package let method: HTTPRequest.Method
        /// With parameters in braces: `/applications/{token}`.
        package let path: String
    }

    nonisolated(unsafe) private let router: Router<ChatContext>
    private let registered = Mutex<[Route]>([])

    init(router: Router<ChatContext>) { self.router = router }

    package var all: [Route] { registered.withLock(\.self) }

    /// Registers a handler. HEAD comes with GET by itself.
    package func on(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ handler: @escaping @Sendable (Request, ChatContext) async throws -> Response
    ) {
        router.on(RouterPath(path), method: method, use: handler)
        registered.withLock { $0.append(Route(method: method, path: path)) }
    }

    /// The pattern that `path` matches, and its methods; of two patterns the more literal one, as for the router.
    func match(_ path: String) -> (path: String, methods: [HTTPRequest.Method])? {
        let parts = path.split(separator: "/")
        let matches = all.filter { $0.matches(parts) }
        guard let pattern = matches.min(by: { $0.parameterCount < $1.parameterCount })?.path else { return nil }
        let methods = matches.filter { $0.path == pattern }.map(\.method)
        return (pattern, methods.contains(.get) ? methods + [.head] : methods)
    }
}

extension Routes.Route {
    fileprivate var parameterCount: Int { path.count { $0 == "{" } }

    fileprivate func matches(_ parts: [Substring]) -> Bool {
        let pattern = path.split(separator: "/")
        return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }
}
