import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// How a connection leaves HTTP for a stream.
@Suite(.timeLimit(.minutes(2)))
struct SSEDepartureTests {
    /// What is still to come of the request could not be told from what follows.
    @Test func aRequestWhoseBodyIsOnItsWayIsRefused() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            await connection.send("GET \(chat)/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 422)
            try await eventually("nobody reads") { server.metric("luciq_stream_subscriptions") == 0 }
        }
    }

    /// Many requests before it on the same connection are answered as ever.
    @Test func theLastOfManyRequests() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            let get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            await connection.send(
                String(repeating: get, count: 20) + "GET \(chat)/stream?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            for _ in 1...20 { #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n") }
            #expect(try await connection.receiveAnswer(rest: &rest, isHead: true)?.status == 200)
            var text = String(decoding: rest, as: UTF8.self)
            while !text.contains("id: 0\n\n") {
                text += String(decoding: try await connection.receive(), as: UTF8.self)
            }
            #expect(try await server.client.post(chat + "/messages", json: #"{"body":"hi"}"#).status == 201)
            while !text.contains("\"hi\"") { text += String(decoding: try await connection.receive(), as: UTF8.self) }
            #expect(text.contains("id: 1\nevent: message\n"))
        }
    }
}
