import Cryptography
import Foundation
import TestSupport
import Testing

@testable import ChatCore

/// An application that signs its users' tokens, with two chats.
struct TokenSite: Sendable {
    let server: TestServer
    /// By the public id.
    let path: String
    /// By the token, which opens everything.
    let owner: String
    let id: String
    let kid: UserTokenKey.ID
    let secret: SecretKey

    init(_ server: TestServer) async throws {
        self.server = server
        let made = try await server.client.post("/applications", json: #"{"name":"a"}"#)
        id = try #require(made.json["id"] as? String)
        path = "/applications/\(id)"
        owner = "/applications/\(try #require(made.json["token"] as? String))"
        for _ in 1...2 { _ = try await server.client.send("POST", owner + "/chats") }
        let key = try await server.client.post(owner + "/jwt-keys", json: "{}")
        kid = try #require((key.json["kid"] as? String).flatMap { UserTokenKey.ID($0) })
        secret = SecretKey(Array(try #require(key.json["secret"] as? String).utf8))
    }

    func token(_ user: String, seconds: Int64 = 600, chats: [Int64]? = nil) throws -> String {
        let now = WallClock.system.now()
        return UserToken.sign(
            for: try #require(User.ID(user)), audience: id, issuedAt: now, expiresAt: now.adding(.seconds(seconds)),
            chats: chats?.map { Chat.Number($0) }, keyID: kid, secret: secret)
    }

    func ticket(_ json: String, user: String = "u1", seconds: Int64 = 600) async throws -> Answer {
        try await server.client.post(
            path + "/tickets", json: json, headers: ["Authorization": "Bearer \(token(user, seconds: seconds))"])
    }

    /// - Parameters:
    ///   - protocols: the subprotocols that it asks for.
    ///   - client: the address that a proxy names.
    func socket(_ protocols: String? = nil, from client: String? = nil) async throws -> WebSocketClient {
        var headers = WebSocketClient.handshake
        headers["Sec-WebSocket-Protocol"] = protocols
        headers["X-Forwarded-For"] = client
        return try await WebSocketClient(server.client.port, path + "/socket", headers: headers)
    }

    /// A socket whose first message has shown a token.
    func greetedSocket(_ user: String = "u1", token: String? = nil) async throws -> WebSocketClient {
        let socket = try await socket()
        await socket.send(#"{"type":"auth","token":"\#(try token ?? self.token(user))"}"#)
        return socket
    }
}
