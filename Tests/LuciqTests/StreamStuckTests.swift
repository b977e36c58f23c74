import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// A client that has stopped reading costs the server little and other clients nothing, and is closed in the end.
@Suite(.timeLimit(.minutes(4))) struct StreamStuckTests {
    @Test(arguments: StreamDecoder.Transport.allCases)
    func whoDoesNotReadIsClosedAndOthersGoOn(_ transport: StreamDecoder.Transport) async throws {
        let servers = try await StreamServers.start(1, on: .embedded)
        let chat = try await servers.client().makeChat()
        let application = String(chat.dropLast("/chats/1".count))
        let readers = (0..<4).map { _ in
            StreamClient(transport, [StreamSubscriber(chat: 1, after: 0)], of: application, at: servers.ports)
        }
        // More than the buffers of a connection's two ends hold.
        let (count, size) = (800, 50_000)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for reader in readers { tasks.addTask { await reader.run(on: MultiThreadedEventLoopGroup.singleton) } }
            try await eventually("all listen") { readers.allSatisfy(\.hasBegun) }
            var stuck: [RawConnection] = []
            for _ in 0..<16 { stuck.append(try await open(transport, application, servers)) }
            try await eventually("all subscribe") {
                try await servers.metric("luciq_stream_subscriptions") == readers.count + stuck.count
            }
            let before = servers[0].residentMemory
            var most = 0

            for start in stride(from: 1, through: count, by: 16) {
                let end = start + 15
                try await post(start...end, size: size, to: chat, servers)
                // No faster than the other readers can read on any machine, or they would be slow consumers themselves.
                try await eventually("who reads has everything") {
                    readers.allSatisfy { $0.subscribers[0].count == end }
                }
                most = max(most, servers[0].residentMemory ?? 0)
            }
            // Without a bound each would hold 40 MB, less the content of the system's buffers.
            if let before { #expect(most - before < 120) }

            try await eventually("who does not is given up", within: 90) {
                try await servers.metric("luciq_stream_subscriptions") == readers.count
            }
            let open = try await servers.metric(
                "luciq_live_connections{transport=\"\(transport == .events ? "sse" : "websocket")\"}")
            #expect(open == readers.count)
            try await post(count + 1...count + 10, size: 10, to: chat, servers)
            try await eventually("others go on") { readers.allSatisfy { $0.subscribers[0].count == count + 10 } }
            for connection in stuck { try await expectBeginning(connection, transport, count) }
            tasks.cancelAll()
            while let result = await tasks.nextResult() { _ = result }
        }
        let stored = try await servers.rows()[1]
        for reader in readers {
            #expect(reader.subscribers[0].rows == stored)
            #expect(reader.connections == 1 && reader.problems.isEmpty, "\(reader.ends) \(reader.problems)")
        }
    }

    private func open(
        _ transport: StreamDecoder.Transport, _ application: String, _ servers: StreamServers
    ) async throws -> RawConnection {
        let connection = try RawConnection(port: servers.ports[0])
        let path = application + (transport == .events ? "/chats/1/stream" : "/socket")
        let upgrade =
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        await connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\(transport == .events ? "" : upgrade)\r\n")
        if transport == .socket {
            let request = ByteBuffer(string: #"{"type":"subscribe","chat":1}"#)
            await connection.send(Array(StreamDecoder.frame(1, request).readableBytesView))
        }
        return connection
    }

    /// The connection ends, and until then it delivers the first messages.
    private func expectBeginning(
        _ connection: RawConnection, _ transport: StreamDecoder.Transport, _ count: Int
    ) async throws {
        var bytes = ByteBuffer(bytes: try await connection.receiveAll())
        var decoder = StreamDecoder(transport)
        let numbers = decoder.read(&bytes).compactMap { event in
            if case .message(_, let row) = event { row.number } else { nil }
        }
        #expect(numbers.count < count && numbers == Array(1..<numbers.count + 1))
    }

    private func post(_ numbers: ClosedRange<Int>, size: Int, to chat: String, _ servers: StreamServers) async throws {
        let body = String(repeating: "x", count: size)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    var caller = Caller(ports: servers.ports, patience: 30)
                    for _ in stride(from: numbers.lowerBound + writer, through: numbers.upperBound, by: 8) {
                        let answer = await caller.send(
                            "POST", chat + "/messages", to: 0, body: "{\"body\":\"\(body)\"}")
                        #expect(answer?.status == 201)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
