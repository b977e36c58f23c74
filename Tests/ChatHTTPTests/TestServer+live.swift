import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatSQLite

extension TestServer {
    /// The application of a chat's path.
    func application(_ chat: String) -> String { chat.components(separatedBy: "/chats")[0] }

    /// A WebSocket of the application that has the chat.
    func connect(_ chat: String) async throws -> WebSocketClient {
        let socket = try await WebSocketClient(client.port, application(chat) + "/socket")
        try #require(socket.answer.status == 101)
        return socket
    }

    /// Stores messages at once, past the queue.
    ///
    /// - Parameters:
    ///   - chat: its path.
    ///   - size: of a message, in bytes.
    func fill(_ chat: String, _ count: Int, size: Int) async throws {
        let parts = chat.split(separator: "/")
        let token = try #require(Tenant.Token(parts[1]))
        let tenant = try #require(try await store.id(of: token))
        let number = try #require(Chat.Number(digits: parts[3]))
        let id = try #require(try await store.id(of: number, in: tenant))
        let body = String(repeating: "x", count: size)
        for start in stride(from: 0, to: count, by: 500) {
            let batch = (start..<min(start + 500, count)).map { _ in NewMessage(tenant: tenant, chat: id, body: body) }
            for result in try await store.append(batch, at: WallClock.system.now()) { _ = try result.get() }
        }
    }

    /// Expects that no reader, of either transport, has left anything behind.
    func expectNobody() async throws {
        try await eventually("no subscription is left") { metric("luciq_stream_subscriptions") == 0 }
        for transport in ["sse", "websocket"] {
            try await eventually("no \(transport) is open") {
                metric("luciq_live_connections{transport=\"\(transport)\"}") == 0
            }
        }
        try await eventually("no connection is open") { metric("luciq_http_connections") == 0 }
    }
}
