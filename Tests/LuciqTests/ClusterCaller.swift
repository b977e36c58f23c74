import TestSupport

/// A client with a kept connection to each of several servers.
struct Caller {
    private let ports: [Int]
    /// How long an answer may take, in seconds.
    private let patience: Int
    private var connections: [Int: RawConnection] = [:]

    init(_ nodes: [Cluster.Node], patience: Int) { self.init(ports: nodes.map(\.port), patience: patience) }

    init(ports: [Int], patience: Int) {
        self.ports = ports
        self.patience = patience
    }

    /// - Parameters:
    ///   - node: any number; it goes round.
    ///   - body: JSON text; nil for none.
    /// - Returns: nil when the server is not there, or gave no answer in time.
    mutating func send(
        _ method: String, _ path: String, to node: Int, key: String? = nil, body: String? = nil
    ) async -> Answer? {
        let port = ports[node % ports.count]
        var request = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if let key { request += "Idempotency-Key: \(key)\r\n" }
        if let body { request += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        do {
            let connection = try connections[port] ?? RawConnection(port: port, patience: patience)
            connections[port] = connection
            await connection.send("\(request)\r\n\(body ?? "")")
            var rest: [UInt8] = []
            if let answer = try await connection.receiveAnswer(rest: &rest) { return answer }
        } catch {
            // Any error counts as no answer.
        }
        connections[port] = nil
        return nil
    }
}
