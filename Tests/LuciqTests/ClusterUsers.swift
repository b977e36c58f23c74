import ChatCore
import Cryptography
import Foundation
import NIOCore
import Synchronization
import TestSupport

/// An application on several servers, with a key for the tokens of its users.
struct ClusterUsers: Sendable {
    let cluster: Cluster
    /// `/applications/<token>`, which may do everything.
    let path: String
    /// `/applications/<id>`, for users.
    let userPath: String
    private let id: String
    private let key: UserTokenKey.ID
    private let secret: SecretKey

    init(on cluster: Cluster) async throws {
        self.cluster = cluster
        let client = cluster.nodes[0].client
        let made = try await client.post("/applications", json: #"{"name":"a"}"#)
        guard let path = made["Location"], let id = made.json["id"] as? String else {
            throw RawConnection.Failure(description: made.text)
        }
        let key = try await client.post(path + "/jwt-keys", json: "{}")
        guard let kid = (key.json["kid"] as? String).flatMap({ UserTokenKey.ID($0) }),
            let secret = key.json["secret"] as? String
        else { throw RawConnection.Failure(description: key.text) }
        (self.path, self.id, self.userPath) = (path, id, "/applications/" + id)
        (self.key, self.secret) = (kid, SecretKey(Array(secret.utf8)))
    }

    /// - Parameter age: in seconds.
    func authorization(_ user: String, age: Int = 0) -> [String: String] {
        let now = WallClock.system.now()
        let token = UserToken.sign(
            for: User.ID(user)!, audience: id, issuedAt: now.adding(.seconds(-age)),
            expiresAt: now.adding(.seconds(3600)),
            keyID: key, secret: secret)
        return ["Authorization": "Bearer \(token)"]
    }

    /// A chat for members.
    ///
    /// - Returns: its number.
    func makeChat(_ members: [String]) async throws -> Int {
        let client = cluster.nodes[0].client
        let made = try await client.post(path + "/chats", json: #"{"access":"members"}"#)
        guard let number = made.json["chat_number"] as? Int else { throw RawConnection.Failure(description: made.text) }
        for member in members {
            let answer = try await client.send(
                "PUT", path + "/chats/\(number)/members/\(member)", json: #"{"role":"member"}"#)
            guard answer.status == 200 else { throw RawConnection.Failure(description: answer.text) }
        }
        return number
    }

    /// The messages of a user in the database.
    func stored(by user: String) async throws -> Int {
        Int(try await cluster.mariadb.sql("SELECT COUNT(*) FROM messages WHERE sender = '\(user)'")) ?? 0
    }
}

/// A client's stream of events: what it has received, and when.
final class TimedStream: Sendable {
    private struct State {
        var received: [(row: StreamSubscriber.Row, at: Date)] = []
        var end: (code: String, at: Date)?
    }

    private let state = Mutex(State())

    var received: [(row: StreamSubscriber.Row, at: Date)] { state.withLock(\.received) }
    /// The code of its end. When the server closes without one: `end of stream`.
    var end: (code: String, at: Date)? { state.withLock(\.end) }

    /// Listens until the server ends it.
    func run(_ path: String, on port: Int, _ headers: [String: String]) async throws {
        let connection = try RawConnection(port: port, patience: 120)
        let lines = headers.map { "\($0.key): \($0.value)\r\n" }.joined()
        await connection.send("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(lines)\r\n")
        var decoder = StreamDecoder(.events)
        while true {
            let bytes = try await connection.receive()
            let now = Date.now
            var buffer = ByteBuffer(bytes: bytes)
            for event in bytes.isEmpty ? [.ended("end of stream")] : decoder.read(&buffer) {
                switch event {
                case .message(_, let row): state.withLock { $0.received.append((row, now)) }
                case .ended(let code): return end(code, now)
                case .refused(let status): return end("\(status)", now)
                default: break
                }
            }
        }
    }

    private func end(_ code: String, _ now: Date) { state.withLock { $0.end = $0.end ?? (code, now) } }
}
