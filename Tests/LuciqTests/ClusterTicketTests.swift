import Foundation
import NIOCore
import TestSupport
import Testing

extension ClusterTests {
    /// What one server gives or takes away counts on the other.
    @Suite(.serialized) struct Tickets {
        @Test func ticketsAndSocketsAreTheClusters() async throws {
            let mariadb = try await MariaDBServer.start()
            let redis = try await RedisServer.start()
            let cluster = try await Cluster.start(
                2, mariadb: mariadb, redis: redis.url(), settings: ["LIMITS_AUTH": "0"])
            let users = try await ClusterUsers(on: cluster)
            let chat = try await users.makeChat(["u1", "u2"])
            let own = users.authorization("u1", age: 5)
            let clients = cluster.nodes.map(\.client)

            let made = try await clients[0].post(
                users.userPath + "/tickets", json: #"{"chats":[\#(chat)],"ttl_s":600}"#, headers: own)
            #expect(made.status == 201)
            let ticket = try #require(made.json["ticket"] as? String)
            let path = users.userPath + "/chats/\(chat)"
            let (stream, other) = (TimedStream(), TimedStream())
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    try await stream.run(path + "/stream?after=0&ticket=\(ticket)", on: cluster.nodes[1].port, [:])
                }
                tasks.addTask {
                    try await other.run(path + "/stream?after=0", on: cluster.nodes[1].port, users.authorization("u2"))
                }
                let socket = try await socket(users, own, cluster.nodes[1])
                for node in 0...1 {
                    let sent = try await clients[node].post(path + "/messages", json: #"{"body":"x"}"#, headers: own)
                    #expect(sent.status == 201)
                }
                try await eventually("both streams have both") {
                    stream.received.count == 2 && other.received.count == 2
                }

                let revoked = try await clients[0].send("POST", users.path + "/users/u1/revoke")
                #expect(revoked.status == 200)
                try await eventually("the stream on the other server ends") { stream.end != nil }
                #expect(stream.end?.code == "token_revoked")
                // A close frame with 4401.
                let end = try await socket.receiveAll()
                #expect(end.count > 4 && Array(end[2..<4]) == [0x11, 0x31], "\(end)")
                for (node, client) in clients.enumerated() {
                    try await eventually("server \(node) refuses the ticket and the token") {
                        let stream = try await client.get(path + "/stream?ticket=\(ticket)").status
                        let list = try await client.get(path + "/messages", headers: own).status
                        return stream == 401 && list == 401
                    }
                }
                // The other user's goes on.
                #expect(
                    try await clients[0].post(users.path + "/chats/\(chat)/messages", json: #"{"body":"y"}"#).status
                        == 201)
                try await eventually("the other user has it") { other.received.count == 3 }
                #expect(other.end == nil && stream.received.count == 2)
                tasks.cancelAll()
                for node in cluster.nodes { node.process.signal(SIGTERM) }
                try await tasks.waitForAll()
            }
        }

        /// An open WebSocket of a user, past its 101.
        private func socket(
            _ users: ClusterUsers, _ headers: [String: String], _ node: Cluster.Node
        ) async throws -> RawConnection {
            let connection = try RawConnection(port: node.port)
            let lines = headers.map { "\($0.key): \($0.value)\r\n" }.joined()
            await connection.send(
                "GET \(users.userPath)/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(lines)\r\n")
            var head: [UInt8] = []
            while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
                let bytes = try await connection.receive()
                guard !bytes.isEmpty else { break }
                head += bytes
            }
            guard head.starts(with: "HTTP/1.1 101 ".utf8) else {
                throw RawConnection.Failure(description: String(decoding: head, as: UTF8.self))
            }
            return connection
        }
    }
}
