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
        var literals: [(text: [UInt8], node: Node)] = []
        var parameter: Node?
        /// The routes of the path that ends here, and of the same path with `.json`.
        var entries: [Entry] = []
        var jsonEntries: [Entry] = []

        func child(_ part: Substring) -> Node {
            if part.hasPrefix("{") {
                if parameter == nil { parameter = Node() }
                return parameter!
            }
            let text = Array(part.utf8)
            if let known = text.withUnsafeBufferPointer({ literal($0[...]) }) { return known }
            let node = Node()
            literals.append((text, node))
            return node
        }

        func literal(_ part: Slice<UnsafeBufferPointer<UInt8>>) -> Node? {
            for (text, node) in literals where text.count == part.count && part.elementsEqual(text) { return node }
            return nil
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
        precondition(
            zip(names, PathParameters.names).allSatisfy { $1.contains(String($0)) }, "parameters stand in one order")
        let node = parts.reduce(root) { $0.child($1) }
        let route = Route(method: method, path: isJSON ? path + Route.jsonSuffix : path)
        let entry = Entry(route, takesBody: takesBody, endpoint: endpoint)
        if isJSON { node.jsonEntries.append(entry) } else { node.entries.append(entry) }
        routes.append(route)
    }

    /// - Returns: nil if no route has the path.
    func match(_ path: String) -> Match? {
        var parameters = PathParameters(in: path)
        var path = path
        let entries = path.withUTF8 { find($0, &parameters) }
        return entries.isEmpty ? nil : Match(entries: entries, parameters: parameters)
    }

    /// Compares bytes, because each request has a path: substrings cost four times as much.
    ///
    /// - Returns: the routes of the path, if any.
    private func find(_ path: UnsafeBufferPointer<UInt8>, _ parameters: inout PathParameters) -> [Entry] {
        guard path.first == UInt8(ascii: "/") else { return [] }
        if path.count == 1 { return root.entries }
        var (node, start) = (root, 1)
        while true {
            let end = path[start...].firstIndex(of: UInt8(ascii: "/")) ?? path.count
            guard start < end else { return [] }
            if end == path.count, let entries = Self.jsonEntries(path, start..<end, node, &parameters) {
                return entries
            }
            if let literal = node.literal(path[start..<end]) {
                node = literal
            } else if let parameter = node.parameter {
                node = parameter
                parameters.append(start..<end)
            } else {
                return []
            }
            if end == path.count { return node.entries }
            start = end + 1
        }
    }

    /// - Returns: the routes with `.json`; nil if there are none.
    private static func jsonEntries(
        _ path: UnsafeBufferPointer<UInt8>, _ part: Range<Int>, _ node: Node, _ parameters: inout PathParameters
    ) -> [Entry]? {
        guard path[part].last == UInt8(ascii: "n"), path[part].suffix(5).elementsEqual(Route.jsonSuffix.utf8) else {
            return nil
        }
        let name = part.dropLast(5)
        if let child = node.literal(path[name]), !child.jsonEntries.isEmpty { return child.jsonEntries }
        guard !name.isEmpty, let child = node.parameter, !child.jsonEntries.isEmpty else { return nil }
        parameters.append(name)
        return child.jsonEntries
    }
}
