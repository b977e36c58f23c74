package import HTTPTypes
package import Hummingbird
import Synchronization

/// The router and a list of its routes, for 405 answers and for the test that compares the routes with openapi.yaml.
package final class Routes: Sendable {
    package struct Route: Hashable, Sendable {
        package let method: HTTPRequest.Method
        /// The pattern, with parameters in braces: `/applications/{token}`.
        package let path: String

        static let jsonSuffix = ".json"
    }

    package typealias Handler = @Sendable (Request, ChatContext) async throws -> Response

    nonisolated(unsafe) private let router: Router<ChatContext>
    private let registered = Mutex<[Route]>([])

    init(router: Router<ChatContext>) { self.router = router }

    package var all: [Route] { registered.withLock(\.self) }

    /// Registers a handler. A handler of GET serves HEAD too.
    package func on(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        router.on(RouterPath(path), method: method, use: handler)
        registered.withLock { $0.append(Route(method: method, path: path)) }
    }

    /// Registers a handler of JSON at the path and at the path with `.json`, as in the Rails application.
    func onJSON(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        on(method, path, handler)
        on(method, path + Route.jsonSuffix, handler)
    }

    /// The pattern that `path` matches, and its methods. Of two patterns the more literal one wins, as in the router.
    func match(_ path: String) -> (path: String, methods: [HTTPRequest.Method])? {
        let parts = path.split(separator: "/")
        let matches = all.filter { $0.matches(parts) }
        guard let pattern = matches.min(by: { $0.openness < $1.openness })?.path else { return nil }
        let methods = matches.filter { $0.path == pattern }.map(\.method)
        return (pattern, methods.contains(.get) ? methods + [.head] : methods)
    }
}

extension Routes.Route {
    /// Lower for a more literal pattern.
    fileprivate var openness: Int { path.count { $0 == "{" } * 2 - (path.hasSuffix(Self.jsonSuffix) ? 1 : 0) }

    fileprivate func matches(_ parts: [Substring]) -> Bool {
        let pattern = path.split(separator: "/")
        return pattern.count == parts.count
            && zip(pattern, parts).allSatisfy { pattern, part in
                guard pattern.hasPrefix("{") else { return pattern == part }
                return !pattern.hasSuffix(Self.jsonSuffix) || part.hasSuffix(Self.jsonSuffix)
            }
    }
}
