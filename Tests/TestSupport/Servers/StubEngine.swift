import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

/// An HTTP server between us and a real engine, or without one: it answers as the test says what a real one does not on
/// demand.
package final class StubEngine: Sendable {
    package struct Request: Sendable {
        package let method: String
        /// With its query.
        package let target: String
        package let headers: String
        package let body: String

        /// The lines of a bulk request's documents.
        package var documents: Int { body.split(separator: "\n").count / 2 }
    }

    package enum Reply: Sendable {
        /// A whole answer.
        case json(Int, String)
        /// What the real engine answers.
        case forwarded
        /// The status line and headers of a whole answer, and this part of its body; then the connection ends.
        case cutOff(String)
        /// Nothing.
        case silence
    }

    package let port: Int
    private let isSecure: Bool
    private let task: Task<Void, any Error>
    private let behind: HTTPPool?

    /// - Parameters:
    ///   - real: the port of a real engine.
    ///   - tls: its certificate; nil for plain HTTP.
    ///   - reply: called for each request, in several tasks.
    package init(
        before real: Int? = nil, tls: TLSFiles? = nil, _ reply: @escaping @Sendable (Request) async throws -> Reply
    ) async throws {
        typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>
        let secure = try tls.map { try TLSServerContext(certificate: $0.certificate, key: $0.key) }
        let behind = real.map { HTTPPool(host: "127.0.0.1", port: $0, tls: nil, most: 64) }
        let listener: NIOAsyncChannel<Connection, Never> = try await ServerBootstrap(
            group: MultiThreadedEventLoopGroup.singleton
        )
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: "127.0.0.1", port: 0) { channel in
            channel.eventLoop.makeCompletedFuture {
                if let secure { try channel.pipeline.syncOperations.addHandler(TLSHandler(secure)) }
                return try Connection(wrappingChannelSynchronously: channel)
            }
        }
        self.behind = behind
        self.isSecure = secure != nil
        self.port = listener.channel.localAddress?.port ?? 0
        task = Task {
            try await listener.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in connections {
                        group.addTask {
                            // A client that leaves, or a test that ends, ends the exchange.
                            try? await connection.executeThenClose { inbound, outbound in
                                var bytes = ""
                                for try await part in inbound {
                                    bytes += String(buffer: part)
                                    guard let request = Self.request(&bytes) else { continue }
                                    let answer = try await Self.answer(to: request, try await reply(request), behind)
                                    guard let answer else {
                                        try await Task.sleep(for: .seconds(3600))
                                        return
                                    }
                                    try await outbound.write(ByteBuffer(string: answer.text))
                                    if answer.ends { return }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    deinit { task.cancel() }

    package var url: String { isSecure ? "https://localhost:\(port)" : "http://127.0.0.1:\(port)" }

    private static func answer(
        to request: Request, _ reply: Reply, _ behind: HTTPPool?
    ) async throws -> (text: String, ends: Bool)? {
        switch reply {
        case .silence: return nil
        case .json(let status, let json):
            return (
                "HTTP/1.1 \(status) Some reason\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(json.utf8.count)\r\n\r\n\(json)", false
            )
        case .cutOff(let part):
            return ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n\(part)", true)
        case .forwarded:
            var headers: HTTPHeaders = ["Host": "127.0.0.1"]
            if !request.body.isEmpty { headers.add(name: "Content-Type", value: "application/json") }
            let head = HTTPRequestHead(
                version: .http1_1, method: HTTPMethod(rawValue: request.method), uri: request.target,
                headers: headers)
            let answer = try await behind?.call(
                head, body: request.body.isEmpty ? nil : ByteBuffer(string: request.body),
                until: .now + .seconds(30), mostBytes: 64 << 20)
            return try await self.answer(
                to: request, .json(answer?.status ?? 502, answer.map { String(buffer: $0.body) } ?? ""), nil)
        }
    }

    /// Takes a whole request from the beginning of the bytes.
    private static func request(_ bytes: inout String) -> Request? {
        guard let end = bytes.firstRange(of: "\r\n\r\n") else { return nil }
        let head = String(bytes[..<end.lowerBound])
        let length = head.firstMatch(of: /(?i)content-length: (\d+)/).flatMap { Int($0.1) } ?? 0
        let rest = bytes[end.upperBound...].utf8
        guard rest.count >= length, let body = String(rest.prefix(length)) else { return nil }
        bytes = String(Substring(rest.dropFirst(length)))
        let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
        return Request(method: String(words[0]), target: String(words[1]), headers: head, body: body)
    }
}
