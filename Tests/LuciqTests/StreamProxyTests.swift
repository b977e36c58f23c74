import Foundation
import NIOPosix
import TestSupport
import Testing

/// Streams through the usual proxies with their default settings.
@Suite(.timeLimit(.minutes(4))) struct StreamProxyTests {
    /// Messages pass at once, although no later data pushes them; and during a silence longer than a proxy's time-out
    /// (50 s, 60 s) the heartbeats keep the connection.
    @Test(arguments: StreamProxy.Kind.allCases)
    func streamsGoThrough(_ kind: StreamProxy.Kind) async throws {
        let servers = try await StreamServers.start(1, on: .embedded)
        let proxy = try await StreamProxy.start(kind, before: servers.ports)
        let client = Client(port: proxy.port)
        let chat = try await client.makeChat()
        let application = String(chat.dropLast("/chats/1".count))
        let clients = StreamDecoder.Transport.allCases.map { transport in
            StreamClient(transport, [StreamSubscriber(chat: 1, after: 0)], of: application, at: [proxy.port])
        }
        func send(_ body: String) async throws {
            #expect(try await client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}").status == 201)
            try await eventually("it is there at once") {
                clients.allSatisfy { $0.subscribers[0].last?.body == body }
            }
        }
        let list = try await client.get(chat, headers: ["Accept-Encoding": "gzip"])
        #expect(list["Content-Encoding"] == "gzip" || list.text.utf8.count < 20, "\(kind) compresses other answers")
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in clients { tasks.addTask { await client.run(on: MultiThreadedEventLoopGroup.singleton) } }
            try await eventually("the opening is there at once") { clients.allSatisfy(\.hasBegun) }
            for size in [1, 1, 100, 5000, 60_000, 1] { try await send(String(repeating: "x", count: size)) }
            // A comment every 15 s, a ping every 25 s.
            try await eventually("it was silent for long", within: 120) {
                zip(clients, [5, 3]).allSatisfy { $0.beats >= $1 }
            }
            try await send("after the silence")
            tasks.cancelAll()
            while let result = await tasks.nextResult() { _ = result }
        }
        let stored = try await servers.rows()[1]
        for client in clients {
            #expect(client.subscribers[0].rows == stored, "\(client.transport)")
            #expect(client.connections == 1 && client.problems.isEmpty)
        }
    }
}
