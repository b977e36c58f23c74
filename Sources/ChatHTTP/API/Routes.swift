package import HTTPTypes
import Metrics
import Synchronization

/// Finds the endpoint for a method and a path.
///
/// It compares paths byte for byte: `//metrics` is not `/metrics`, so that a proxy can block `/metrics`. After the
/// start, the server only reads it.
package final class Routes: @unchecked Sendable {
    package struct Route: Hashable, Sendable {
        package let method: HTTPRequest.Method
        /// The pattern, with parameters in braces: `/applications/{token}`.
        package let path: String

        static let jsonSuffix = ".json"
    }

    /// A route with its endpoint and metrics.
    final class Entry: Sendable {
        let route: Route
        /// Whether the endpoint needs the complete body.
        let takesBody: Bool
        let endpoint: Endpoint
        /// The timers of the statuses answered so far. They are few, and each answer needs one.
        private let timers = Mutex<[(status: Int, isHead: Bool, timer: Metrics.Timer)]>([])

        init(_ route: Route, takesBody: Bool, endpoint: @escaping Endpoint) {
            self.route = route
            self.takesBody = takesBody
            self.endpoint = endpoint
        }

        /// - Parameter make: makes the timer of a new status.
        func timer(status: Int, isHead: Bool, make: () -> Metrics.Timer) -> Metrics.Timer {
            timers.withLock { timers in
                for known in timers where known.status == status && known.isHead == isHead { return known.timer }
                let timer = make()
                timers.append((status, isHead, timer))
                return timer
            }
        }
    }

    /// The routes of a path.
    struct Match {
        /// One for each method.
        let entries: [Entry]
        let parameters: PathParameters

        var path: String { entries[0].route.path }
        var methods: [HTTPRequest.Method] {
            let methods = entries.map(\.route.method)
            return methods.contains(.get) ? methods + [.head] : methods
        }

        /// HEAD uses the endpoint of GET.
        func entry(for method: HTTPRequest.Method) -> Entry? {
            for entry in entries
            where entry.route.method == method || method == .head && entry.route.method == .get {
                return entry
            }
            return nil
        }
    }

    /// One segment of the paths, in a tree.
    private final class Node {
        var literals: [(text: String, node: Node)] = []
        var parameter: Node?
        /// The routes of the path that ends here, and of the same path with `.json`.
        var entries: [Entry] = []
        var jsonEntries: [Entry] = []

        func child(_ part: Substring) -> Node {
            if part.hasPrefix("{") {
                if parameter == nil { parameter = Node() }
                return parameter!
            }
            if let known = literals.first(where: { $0.text == part }) { return known.node }
            let node = Node()
            literals.append((String(part), node))
            return node
        }
    }

    private let root = Node()
    private var routes: [Route] = []

    package var all: [Route] { routes }

    /// Registers an endpoint. GET includes HEAD.
    package func on(
        _ method: HTTPRequest.Method, _ path: String, takesBody: Bool = false, _ endpoint: @escaping Endpoint
    ) {
        add(method, path, isJSON: false, takesBody: takesBody, endpoint)
    }

    /// Registers a JSON endpoint, also under the path with `.json`: the Rails application accepted that too.
    func onJSON(
        _ method: HTTPRequest.Method, _ path: String, takesBody: Bool = false, _ endpoint: @escaping Endpoint
    ) {
        add(method, path, isJSON: false, takesBody: takesBody, endpoint)
        add(method, path, isJSON: true, takesBody: takesBody, endpoint)
    }

    private func add(
        _ method: HTTPRequest.Method, _ path: String, isJSON: Bool, takesBody: Bool, _ endpoint: @escaping Endpoint
    ) {
        let parts = path.split(separator: "/")
        let names = parts.filter { $0.hasPrefix("{") }
        precondition(zip(names, PathParameters.names).allSatisfy { $0 == $1 }, "parameters stand in one order")
        let node = parts.reduce(root) { $0.child($1) }
        let route = Route(method: method, path: isJSON ? path + Route.jsonSuffix : path)
        let entry = Entry(route, takesBody: takesBody, endpoint: endpoint)
        if isJSON { node.jsonEntries.append(entry) } else { node.entries.append(entry) }
        routes.append(route)
    }

    /// - Returns: nil if no route has the path.
    func match(_ path: String) -> Match? {
        var path = path
        path.makeContiguousUTF8()
        var (node, parameters, depth) = (root, PathParameters(), 0)
        let utf8 = path.utf8
        guard utf8.first == UInt8(ascii: "/") else { return nil }
        var start = utf8.index(after: utf8.startIndex)
        if start == utf8.endIndex {
            return root.entries.isEmpty ? nil : Match(entries: root.entries, parameters: parameters)
        }
        while true {
            let end = utf8[start...].firstIndex(of: UInt8(ascii: "/")) ?? utf8.endIndex
            let part = path[start..<end]
            let isEnd = end == utf8.endIndex
            guard !part.isEmpty else { return nil }
            if isEnd, let match = Self.jsonMatch(part, node, parameters, depth) { return match }
            if let literal = Self.literal(part, node) {
                node = literal
            } else if let parameter = node.parameter {
                node = parameter
                parameters.append(part, depth: depth)
                depth += 1
            } else {
                return nil
            }
            if isEnd { return node.entries.isEmpty ? nil : Match(entries: node.entries, parameters: parameters) }
            start = utf8.index(after: end)
        }
    }

    private static func literal(_ part: Substring, _ node: Node) -> Node? {
        for (text, child) in node.literals where text.utf8.elementsEqual(part.utf8) { return child }
        return nil
    }

    private static func jsonMatch(
        _ part: Substring, _ node: Node, _ parameters: PathParameters, _ depth: Int
    ) -> Match? {
        guard part.utf8.last == UInt8(ascii: "n"), part.hasSuffix(Route.jsonSuffix) else { return nil }
        let name = part.dropLast(Route.jsonSuffix.count)
        if let child = literal(name, node), !child.jsonEntries.isEmpty {
            return Match(entries: child.jsonEntries, parameters: parameters)
        }
        guard !name.isEmpty, let child = node.parameter, !child.jsonEntries.isEmpty else { return nil }
        var parameters = parameters
        parameters.append(name, depth: depth)
        return Match(entries: child.jsonEntries, parameters: parameters)
    }
}
