import Foundation
import NIOCore
import NIOPosix
import TestSupport

/// A server that answers as the test says, for behaviour that a real server does not show on demand.
final class StandInServer: Sendable {
    /// One connection, after its request was read.
    struct Exchange: Sendable {
        /// From 0, in the order of the requests.
        let index: Int
        /// `GET /path?query HTTP/1.1`, the headers, and the body.
        let request: String
        fileprivate let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>

        func write(_ text: String) async throws { try await outbound.write(ByteBuffer(string: text)) }

        /// Opens a stream of events; what follows is its text.
        func writeStreamHead() async throws {
            try await write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nretry: 100\n\n")
        }

        func writeMessages(_ numbers: ClosedRange<Int>) async throws {
            for number in numbers { try await write(Self.message(number)) }
        }

        static func message(_ number: Int) -> String {
            """
            id: \(number)
            event: message
            data: {"number":\(number),"body":"m\(number)","created_at":"2026-11-22T16:57:44.194Z"}


            """
        }

        func answer(_ status: String, json: String, headers: String = "") async throws {
            try await write(
                "HTTP/1.1 \(status)\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\(headers)"
                    + "Content-Length: \(json.utf8.count)\r\n\r\n" + json)
        }

        /// Says nothing more, until the other side leaves or the test ends.
        func hold() async throws { try await Task.sleep(for: .seconds(3600)) }
    }

    let port: Int
    private let task: Task<Void, any Error>

    /// - Parameter script: called for every request; its connection is closed when it returns or throws.
    init(port: Int = 0, _ script: @escaping @Sendable (Exchange) async throws -> Void) async throws {
        typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>
        let listener: NIOAsyncChannel<Connection, Never> = try await ServerBootstrap(
            group: MultiThreadedEventLoopGroup.singleton
        )
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
        }
        self.port = listener.channel.localAddress?.port ?? 0
        task = Task {
            try await listener.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    var index = 0
                    for try await connection in connections {
                        let current = index
                        index += 1
                        group.addTask { await Self.serve(connection, current, script) }
                    }
                }
            }
        }
    }

    deinit { task.cancel() }

    private static func serve(
        _ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ index: Int,
        _ script: @Sendable (Exchange) async throws -> Void
    ) async {
        // A client that leaves, or a test that ends, ends the exchange; that is not a failure.
        try? await connection.executeThenClose { inbound, outbound in
            var request = ""
            for try await bytes in inbound {
                request += String(buffer: bytes)
                guard isWhole(request) else { continue }
                return try await script(Exchange(index: index, request: request, outbound: outbound))
            }
        }
    }

    private static func isWhole(_ request: String) -> Bool {
        guard let head = request.firstRange(of: "\r\n\r\n") else { return false }
        let length = request.firstMatch(of: /(?i)content-length: (\d+)/).flatMap { Int($0.1) } ?? 0
        return request[head.upperBound...].utf8.count >= length
    }
}
