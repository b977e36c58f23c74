import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// How a connection leaves HTTP for a stream.
@Suite(.timeLimit(.minutes(2)))
struct SSEDepartureTests {
    /// The rest of the request's body would be indistinguishable from the bytes that follow it.
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

    /// Four readers may read from the store at a time. A waiting reader that leaves reads nothing more.
    @Test func whoLeftReadsNoMore() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for _ in 0..<3 { _ = try await server.client.post(chat + "/messages", json: #"{"body":"hi"}"#) }
            func open(_ query: String) async throws -> SSEClient {
                try await SSEClient(server.client.port, chat + "/stream" + query)
            }
            let live = try await open("")  // It has the chat read, once for all.
            server.reads.hold()
            var readers: [SSEClient] = []
            for _ in 0..<4 { readers.append(try await open("?after=0")) }
            try await server.reads.waitForHeld(4)
            for _ in 0..<4 {
                let departing = try await open("?after=0")
                departing.connection.endWithReset()
            }
            try await eventually("they are gone") { server.metric("luciq_stream_subscriptions") == 5 }
            server.reads.release()
            // Those in the line come before this one.
            readers.append(try await open("?after=0"))
            for reader in readers { #expect(try await reader.numbers(3) == [1, 2, 3]) }
            #expect(server.metric("luciq_store_read_seconds_count{operation=\"entries\"}") == 5)
            #expect(server.log.lines.filter { $0.contains("could not be read") } == [])
            withExtendedLifetime(live) {}
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
            #expect(text.contains("event: message\ndata: {\"number\":1,"))
        }
    }
}
