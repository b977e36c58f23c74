import Foundation
import NIOPosix
import TestSupport
import Testing

/// A writer that freezes with a number taken delays no reader for longer than a grace period.
@Suite(.serialized, .timeLimit(.minutes(3))) struct StreamFrozenTests {
    @Test func aFrozenWriterHoldsNobodyUp() async throws {
        let (mariadb, redis) = (try await MariaDBServer.start(), try await RedisServer.start())
        let servers = try await StreamServers.start(
            2, on: .cluster(mariadb, redis), settings: ["REQUEST_TIMEOUT": "60"])
        let chat = try await servers.client(1).makeChat()
        let application = String(chat.dropLast("/chats/1".count))
        // Two of each transport, on the server that will freeze and on the other.
        let clients = servers.ports.flatMap { port in
            StreamDecoder.Transport.allCases.map { transport in
                StreamClient(transport, [StreamSubscriber(chat: 1, after: 0)], of: application, at: [port])
            }
        }
        let awake = clients[2...].flatMap(\.subscribers)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in clients { tasks.addTask { await client.run(on: MultiThreadedEventLoopGroup.singleton) } }
            try await eventually("all listen") { clients.allSatisfy(\.hasBegun) }
            try await post("one", to: chat, servers)
            try await eventually("all have it") { clients.allSatisfy { $0.subscribers[0].count == 1 } }

            // An append whose numbers cannot be stored now keeps them and tries again.
            _ = try await mariadb.sql("SET GLOBAL read_only = 1")
            async let late = servers.client(0).post(chat + "/messages", json: #"{"body":"late"}"#)
            try await eventually("it has number 2 and waits") {
                let key = try await redis.cli("KEYS", "chat:*:message_number")
                return try await redis.cli("GET", key) == "2"
            }
            servers[0].signal(SIGSTOP)
            _ = try await mariadb.sql("SET GLOBAL read_only = 0")

            #expect(try await post("three", to: chat, servers) == 3)
            try await eventually("who is not frozen has it, without number 2", within: 10) {
                awake.allSatisfy { $0.rows.map(\.number) == [1, 3] }
            }
            for body in ["four", "five"] { try await post(body, to: chat, servers) }
            try await eventually("and what follows") { awake.allSatisfy { $0.rows.map(\.number) == [1, 3, 4, 5] } }

            servers[0].signal(SIGCONT)
            #expect(try await late.json["message_number"] as? Int == 6)
            try await post("seven", to: chat, servers)
            try await eventually("all have the last one") {
                clients.allSatisfy { $0.subscribers[0].last?.body == "seven" }
            }
            tasks.cancelAll()
            while let result = await tasks.nextResult() { _ = result }
        }
        let stored = try await servers.rows()[1] ?? []
        #expect(stored.map(\.body) == ["one", "three", "four", "five", "late", "seven"])
        #expect(stored.map(\.number) == [1, 3, 4, 5, 6, 7])
        for client in clients {
            #expect(client.subscribers[0].rows == stored, "\(client.transport)")
            #expect(client.connections == 1 && client.problems.isEmpty)
        }
        #expect(try await servers.complaints() == "")
    }

    @discardableResult
    private func post(_ body: String, to chat: String, _ servers: StreamServers) async throws -> Int? {
        let answer = try await servers.client(1).post(chat + "/messages", json: "{\"body\":\"\(body)\"}")
        #expect(answer.status == 201, "\(answer.text)")
        return answer.json["message_number"] as? Int
    }
}
