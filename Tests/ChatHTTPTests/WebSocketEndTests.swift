import ChatCore
import TestSupport
import Testing

@testable import ChatHTTP

/// How WebSockets end: by a shutdown, by the client, or because the client does not read.
@Suite(.timeLimit(.minutes(3))) struct WebSocketEndTests {
    @Test func aShutdownSaysSo() async throws {
        let codes = try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            var codes: [Task<Int?, any Error>] = []
            for isSubscribed in [true, false] {
                let client = try await server.connect(chat)
                if isSubscribed {
                    await client.send(#"{"type":"subscribe","chat":1}"#)
                    #expect(try await client.answer()["type"] as? String == "subscribed")
                }
                nonisolated(unsafe) let socket = client
                codes.append(
                    Task {
                        let code = try await socket.next()?.code
                        await socket.send(WebSocketClient.bytes(close: 1001))
                        #expect(try await socket.next() == nil)
                        return code
                    })
            }
            return codes
        }
        for code in codes { #expect(try await code.value == 1001) }
    }

    /// A client that sends no close frame, or does not read, does not delay a shutdown.
    @Test func aShutdownDoesNotWaitForSilentClients() async throws {
        var options = TestServer.options
        options.connections.write = .seconds(3600)
        let clients = try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            try await server.fill(chat, 200, size: 65_000)
            let silent = try await server.connect(chat)
            let stuck = try await server.connect(chat)
            await stuck.send(#"{"type":"subscribe","chat":1,"after":"0"}"#)
            #expect(try await stuck.answer()["type"] as? String == "subscribed")
            return [silent.connection, stuck.connection]
        }
        withExtendedLifetime(clients) {}
    }

    enum Goodbye: CaseIterable { case close, halfClose, reset }

    @Test(arguments: Goodbye.allCases)
    func aClientThatLeavesIsForgotten(_ goodbye: Goodbye) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            do {
                let client = try await server.connect(chat)
                await client.send(#"{"type":"subscribe","chat":1}"#)
                #expect(try await client.answer()["type"] as? String == "subscribed")
                switch goodbye {
                case .close: break
                case .halfClose: client.connection.finish()
                case .reset: client.connection.endWithReset()
                }
                if goodbye == .halfClose { #expect(try await client.next() == nil) }
            }
            try await server.expectNobody()
        }
    }

    /// Its handshake was on its way when the others were told.
    @Test func aSocketThatOpensDuringAShutdownIsToldToo() async throws {
        let reading = try await TestServer.run { server in
            let place = try await server.seed()
            server.reads.hold()
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "GET /applications/\(place.token)/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                    + "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            try await server.reads.waitForHeld(1)
            return Task {
                // The listener is the first to close.
                try await eventually("the server shuts down") {
                    (try? await server.client.get("/livez")) == nil
                }
                server.reads.release()
                return try await connection.receiveAll()
            }
        }
        let bytes = try await reading.value
        #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("HTTP/1.1 101 "))
        // A close frame's first bytes: final, opcode 8; its length; 1001.
        let frame = bytes.firstRange(of: Array("\r\n\r\n".utf8)).map { Array(bytes[$0.upperBound...]) } ?? []
        #expect(frame.first == 0x88 && frame.dropFirst(2).prefix(2) == [0x03, 0xE9])
    }

    @Test func pings() async throws {
        var options = TestServer.options
        // A busy machine may need a second for a pong.
        options.live.ping = .seconds(3)
        // Shorter than that, and longer than such a machine takes to send a request.
        options.connections.idle = .milliseconds(1500)
        options.connections.body = .milliseconds(1500)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            for _ in 0..<3 {
                #expect(try await client.next()?.opcode == WebSocketClient.Opcode.ping)
                await client.send(WebSocketClient.bytes(WebSocketClient.Opcode.pong))
            }
            // From here on the client sends nothing.
            #expect(try await client.closeCode() == 1008)
            #expect(server.metric("luciq_websocket_closed_total{code=\"1008\"}") == 1)
            try await server.expectNobody()
        }
    }

    /// A client that does not read falls behind, is told so when it reads again, resumes from its cursors and has each
    /// message once.
    @Test func aSlowConsumerIsToldAndResumes() async throws {
        var streams = StreamLimits()
        streams.window.messages = 8
        streams.smallWindow.messages = 4
        var options = TestServer.options
        options.connections.write = .seconds(600)
        // The client of this test answers no pings, which a slow machine takes long enough to see.
        options.live.ping = .seconds(600)
        try await TestServer.run(options: options, streams: streams) { server in
            let chat = try await server.client.makeChat()
            let slow = try await server.connect(chat)
            let quick = try await server.connect(chat)
            for client in [slow, quick] {
                await client.send(#"{"type":"subscribe","chat":1}"#)
                #expect(try await client.answer()["type"] as? String == "subscribed")
            }
            let (sent, body) = (200, String(repeating: "x", count: 65_000))
            for number in 1...sent {
                _ = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}")
                #expect(try await quick.answer()["cursor"] as? String == "\(number)")
            }
            var received: [String] = []
            var code: Int?
            while let frame = try await slow.next(), code == nil {
                code = frame.code
                if code == nil { received.append(frame.json["cursor"] as? String ?? "") }
            }
            #expect(code == 4001)
            let resumed = try await server.connect(chat)
            await resumed.send("{\"type\":\"subscribe\",\"chat\":1,\"after\":\"\(received.last ?? "0")\"}")
            #expect(try await resumed.answer()["type"] as? String == "subscribed")
            while received.count < sent { received.append(try await resumed.answer()["cursor"] as? String ?? "") }
            #expect(received == (1...sent).map { "\($0)" })
        }
    }

    /// One that reads nothing at all, of many chats at once.
    @Test func whoNeverReadsIsClosed() async throws {
        var options = TestServer.options
        options.connections.write = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            for number in 2...8 {
                _ = try await server.client.send("POST", server.application(chat) + "/chats")
                try await server.fill(server.application(chat) + "/chats/\(number)", 60, size: 65_000)
            }
            let client = try await server.connect(chat)
            for number in 1...8 { await client.send("{\"type\":\"subscribe\",\"chat\":\(number),\"after\":\"0\"}") }
            try await server.expectNobody()
            #expect(server.metric("luciq_http_connections_refused_total{code=\"timed_out\"}") == 1)
            withExtendedLifetime(client) {}
        }
    }

    /// The server stops reading a client that sends requests and does not read.
    @Test func whoFloodsIsClosed() async throws {
        var options = TestServer.options
        options.connections.write = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            let flood = [[UInt8]](repeating: WebSocketClient.bytes(WebSocketClient.Opcode.text, [0x7B]), count: 5000)
                .flatMap(\.self)
            try await eventually("it is closed") { await !client.connection.send(flood) }
            try await server.expectNobody()
        }
    }
}
