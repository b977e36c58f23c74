import ChatCore
import NIOCore
import TestSupport
import Testing

@testable import ChatHTTP

/// A server without a free connection makes room, or refuses.
@Suite(.timeLimit(.minutes(2))) struct ConnectionSlotsTests {
    private static let full = "luciq_http_connections_full"

    private func options(_ bound: Int, perAddress: Int? = nil) -> HTTPOptions {
        var options = TestServer.options
        options.maxConnections = bound
        options.connectionsPerAddress = perAddress
        return options
    }

    /// Streams take as many connections as they may. Health is still answered, and other requests are refused with an
    /// answer.
    @Test func streamsLeaveRoom() async throws {
        try await TestServer.run(options: options(16, perAddress: 16)) { server in
            let chat = try await server.client.makeChat()
            var streams: [SSEClient] = []
            for _ in 0..<12 { streams.append(try await SSEClient(server.client.port, chat + "/stream")) }
            #expect(streams.allSatisfy { $0.status == 200 })
            try await server.expectRefusal(503, "overloaded", "one stream more") {
                try await server.client.get(chat + "/stream")
            }
            #expect(try await server.client.get("/livez").status == 200)
            #expect(try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
            for stream in streams { #expect(try await stream.next()?.number == 1) }
        }
    }

    /// Connections that ask for nothing make room, the one that idles longest first.
    @Test func idleConnectionsMakeRoom() async throws {
        try await TestServer.run(options: options(8, perAddress: 8)) { server in
            var idle: [RawConnection] = []
            // One of the eight is spare, and one is left for the next client.
            for _ in 0..<6 {
                idle.append(try RawConnection(port: server.client.port))
                let count = idle.count
                try await eventually("it is counted") { server.metric("luciq_http_connections") == Double(count) }
            }
            for _ in 0..<3 { #expect(try await server.client.get("/openapi.yaml").status == 200) }
            var rest: [UInt8] = []
            #expect(try await idle[0].receiveAnswer(rest: &rest) == nil)
            // The newest is left alone.
            await idle[5].send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try await idle[5].receiveAnswer(rest: &rest)?.status == 200)
        }
    }

    /// A connection that has sent a request is kept, however long it idles, while others have never sent one.
    @Test func aFloodPushesOutItself() async throws {
        try await TestServer.run(options: options(8, perAddress: 8)) { server in
            let kept = try RawConnection(port: server.client.port)
            var rest: [UInt8] = []
            await kept.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try await kept.receiveAnswer(rest: &rest)?.status == 200)
            var flood: [RawConnection] = []
            for _ in 0..<30 { flood.append(try RawConnection(port: server.client.port)) }
            #expect(try await flood[0].receiveAnswer(rest: &rest) == nil)
            await kept.send("GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(try await kept.receiveAnswer(rest: &rest)?.status == 200)
        }
    }

    /// Connections in the middle of a request do not. Then health is answered, and everything else refused with a
    /// problem.
    @Test func busyConnectionsLeaveASpare() async throws {
        try await TestServer.run(options: options(4, perAddress: 4)) { server in
            var busy: [RawConnection] = []
            for _ in 0..<2 {
                let connection = try RawConnection(port: server.client.port)
                await connection.send("POST /applications HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
                busy.append(connection)
                let count = busy.count
                try await eventually("it is counted") { server.metric("luciq_http_connections") == Double(count) }
            }
            for path in ["/livez", "/readyz", "/up", "/metrics"] {
                let answer = try await server.client.get(path)
                #expect(answer.status == 200 && answer["Connection"] == "close")
            }
            try await server.expectRefusal(503, "overloaded", "what is no health") {
                try await server.client.post("/applications", json: #"{"name":"x"}"#)
            }
            #expect(server.metric(Self.full) == 1)
            busy = []
            try await eventually("they are gone") { server.metric("luciq_http_connections") == 0 }
            _ = try await server.client.makeApplication()
            try await eventually("it is free again") { server.metric(Self.full) == 0 }
        }
    }

    /// One address has a share of the connections, and no more when others are free.
    @Test func anAddressHasAShare() async throws {
        try await TestServer.run(options: options(64, perAddress: 2)) { server in
            let chat = try await server.client.makeChat()
            let streams = [
                try await SSEClient(server.client.port, chat + "/stream"),
                try await SSEClient(server.client.port, chat + "/stream"),
            ]
            try await server.expectRefusal(503, "overloaded", "a third of the address") {
                try await server.client.get(chat)
            }
            #expect(try await server.client.get("/livez").status == 200)
            #expect(server.metric(Self.full) == 0)
            withExtendedLifetime(streams) {}
        }
    }

    @Test func addressesAreToldApart() throws {
        func address(_ text: String) throws -> IPAddress {
            IPAddress(try SocketAddress(ipAddress: text, port: Int.random(in: 1...60_000))).network
        }
        #expect(try address("192.0.2.1") == address("192.0.2.1"))
        #expect(try address("192.0.2.1") != address("192.0.2.2"))
        #expect(try address("192.0.2.1") == address("::ffff:192.0.2.1"))
        #expect(try address("2001:db8:1:2::1") == address("2001:db8:1:2:ffff::9"))
        #expect(try address("2001:db8:1:2::1") != address("2001:db8:1:3::1"))
        #expect(try address("::1") != address("192.0.2.1"))
    }
}
