import Foundation
import TestSupport

/// The events of a stream, or the messages of a WebSocket, of a client that shows credentials.
final class LiveClient {
    private let connection: RawConnection
    private let isSocket: Bool
    let status: Int
    private var rest: [UInt8] = []

    /// - Parameter isSocket: whether to open a WebSocket; else a stream, by HTTP/1.0 so that nothing is chunked.
    init(_ port: Int, _ path: String, headers: [String: String], isSocket: Bool = false) async throws {
        connection = try RawConnection(port: port)
        self.isSocket = isSocket
        var head = "GET \(path) HTTP/1.\(isSocket ? 1 : 0)\r\nHost: 127.0.0.1\r\n"
        var headers = headers
        if isSocket {
            headers.merge([
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            ]) { $1 }
        }
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        await connection.send(head + "\r\n")
        let end = Array("\r\n\r\n".utf8)
        while rest.firstRange(of: end) == nil {
            let bytes = try await connection.receive()
            guard !bytes.isEmpty else { break }
            rest += bytes
        }
        let length = rest.firstRange(of: end)?.upperBound ?? rest.count
        status = Int(String(decoding: rest.prefix(12).suffix(3), as: UTF8.self)) ?? 0
        rest.removeFirst(length)
    }

    /// Sends a WebSocket's message of at most 125 bytes, masked with zeros.
    func send(_ text: String) async {
        await connection.send([0x81, 0x80 | UInt8(text.utf8.count), 0, 0, 0, 0] + Array(text.utf8))
    }

    /// The next event's lines, or the next message; nil when the server has closed.
    func next() async throws -> String? {
        while true {
            if let text = isSocket ? takeFrame() : takeEvent() { return text }
            let bytes = try await connection.receive()
            if bytes.isEmpty { return nil }
            rest += bytes
        }
    }

    /// All that comes until one has this text.
    func all(until text: String) async throws -> [String] {
        var all: [String] = []
        while let next = try await next() {
            all.append(next)
            if next.contains(text) { break }
        }
        return all
    }

    private func takeEvent() -> String? {
        guard let end = rest.firstRange(of: Array("\n\n".utf8)) else { return nil }
        defer { rest.removeFirst(end.upperBound) }
        return String(decoding: rest[..<end.lowerBound], as: UTF8.self)
    }

    private func takeFrame() -> String? {
        guard rest.count >= 2 else { return nil }
        var (length, start) = (Int(rest[1] & 0x7F), 2)
        if length == 126 {
            guard rest.count >= 4 else { return nil }
            (length, start) = (Int(rest[2]) << 8 | Int(rest[3]), 4)
        }
        guard rest.count >= start + length else { return nil }
        defer { rest.removeFirst(start + length) }
        return String(decoding: rest[start..<start + length], as: UTF8.self)
    }
}
