import ChatCore
import TestSupport
import Testing

@testable import ChatHTTP

/// Limits of streams and WebSockets, and the shares of connections.
@Suite(.timeLimit(.minutes(3))) struct LimitedStreamTests {
    private static func rates(_ action: LimitedAction, burst: Int64, concurrent: Int? = nil) -> LimitDefaults {
        var rates = LimitDefaults()
        // A unit comes back after a minute.
        rates.limits.application[action] = Allowance(
            .application, action, perMinute: 1, burst: burst, concurrent: concurrent)
        return rates
    }

    @Test func sendsOverASocketAreLimited() async throws {
        try await TestServer.run(rates: Self.rates(.create, burst: 3)) { server in
            // The chat is the first.
            let chat = try await server.client.makeChat()
            let socket = try await server.connect(chat)
            for ref in ["a", "b", "c"] {
                await socket.send(#"{"type":"send","chat":1,"body":"x","ref":"\#(ref)","key":"\#(ref)"}"#)
                let answer = try await socket.answer()
                #expect(answer["type"] as? String == (ref == "c" ? "error" : "sent"))
                guard ref == "c" else { continue }
                #expect(answer["code"] as? String == "quota-exceeded" && answer["ref"] as? String == "c")
                #expect(answer["chat"] as? Int == 1)
                #expect((1...74).contains(answer["retry_after"] as? Int ?? 0))
            }
            #expect(try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#).status == 429)
        }
    }

    @Test func aReplayOverASocketCostsNothing() async throws {
        try await TestServer.run(rates: Self.rates(.create, burst: 3)) { server in
            let socket = try await server.connect(try await server.client.makeChat())
            for attempt in 0..<5 {
                await socket.send(#"{"type":"send","chat":1,"body":"x","key":"k"}"#)
                let answer = try await socket.answer()
                #expect(answer["type"] as? String == "sent")
                #expect(answer["replayed"] as? Bool == (attempt == 0 ? nil : true))
            }
        }
    }

    @Test func opensAreLimited() async throws {
        try await TestServer.run(rates: Self.rates(.stream, burst: 2)) { server in
            let chat = try await server.client.makeChat()
            let socket = try await server.connect(chat)
            await socket.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await socket.answer()["type"] as? String == "subscribed")
            await socket.send(#"{"type":"unsubscribe","chat":1}"#)
            #expect(try await socket.answer()["type"] as? String == "unsubscribed")
            await socket.send(#"{"type":"subscribe","chat":1,"ref":"r"}"#)
            let refused = try await socket.answer()
            #expect(refused["code"] as? String == "quota-exceeded" && refused["ref"] as? String == "r")
            try await server.expectRefusal(429, "quota-exceeded", "a stream") {
                try await server.client.get(chat + "/stream")
            }
            // Reads have another bucket, which is not limited.
            #expect(try await server.client.get(chat).status == 200)
        }
    }

    @Test func openStreamsAreCounted() async throws {
        try await TestServer.run(rates: Self.rates(.stream, burst: 100, concurrent: 2)) { server in
            let chat = try await server.client.makeChat()
            let stream = try await SSEClient(server.client.port, chat + "/stream")
            #expect(stream.status == 200)
            do {
                let socket = try await server.connect(chat)
                try await server.expectRefusal(429, "quota-exceeded", "a third") {
                    try await server.client.get(chat + "/stream")
                }
                try await server.expectRefusal(429, "quota-exceeded", "a socket") {
                    try await server.client.get(
                        server.application(chat) + "/socket", headers: WebSocketClient.handshake)
                }
                await socket.send(WebSocketClient.bytes(close: 1000))
                _ = try await socket.next()
            }
            // When the socket's connection is gone, there is room for another.
            try await eventually("there is room") {
                try await SSEClient(server.client.port, chat + "/stream").status == 200
            }
            withExtendedLifetime(stream) {}
        }
    }

    /// Beside the server's own origin, and for this application alone.
    @Test func anApplicationsOriginsMayConnect() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let other = try await server.client.makeChat()
            let set = try await server.client.send(
                "PATCH", server.application(chat), json: #"{"origins":["https://chat.example"]}"#)
            #expect(set.status == 200)
            for (chat, origin, status) in [
                (chat, "https://chat.example", 101), (chat, "https://evil.example", 403),
                (chat, "http://127.0.0.1", 101), (other, "https://chat.example", 403),
            ] {
                let headers = WebSocketClient.handshake.merging(["Origin": origin]) { $1 }
                let client = try await WebSocketClient(
                    server.client.port, server.application(chat) + "/socket", headers: headers)
                #expect(client.answer.status == status, "\(origin)")
            }
        }
    }

    // MARK: Shares

    /// A proxy is one address. Its clients have a share each, and the proxy has none.
    @Test func clientsBehindAProxyHaveAShareEach() async throws {
        var options = TestServer.options
        options.maxConnections = 64
        options.connectionsPerAddress = 2
        options.proxies = try TrustedProxies("127.0.0.0/8")
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            func open(_ client: String) async throws -> SSEClient {
                try await SSEClient(
                    server.client.port, chat + "/stream", headers: ["X-Forwarded-For": "192.0.2.9, \(client)"])
            }
            var streams: [SSEClient] = []
            for client in ["2001:db8::1", "192.0.2.1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"] {
                streams.append(try await open(client))
            }
            #expect(streams.allSatisfy { $0.status == 200 })
            for client in ["192.0.2.1", "2001:db8::3"] {
                try await server.expectRefusal(503, "overloaded", "a third of \(client)") {
                    try await server.client.get(chat, headers: ["X-Forwarded-For": client])
                }
            }
            let health = try await server.client.get("/livez", headers: ["X-Forwarded-For": "192.0.2.1"])
            #expect(health.status == 200)
            // A connection of the proxy that carries nothing belongs to nobody.
            var rest: [UInt8] = []
            var idle: [RawConnection] = []
            for _ in 0..<4 {
                let connection = try RawConnection(port: server.client.port)
                await connection.send("GET /livez HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
                #expect(try await connection.receiveAnswer(rest: &rest)?.status == 200)
                idle.append(connection)
            }
            #expect(try await open("192.0.2.7").status == 200)
            withExtendedLifetime((streams, idle)) {}
        }
    }

    /// Without the setting anyone may write the header.
    @Test func theHeaderOfOthersIsIgnored() async throws {
        var options = TestServer.options
        options.maxConnections = 64
        options.connectionsPerAddress = 2
        options.proxies = try TrustedProxies("192.0.2.0/24")
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            var streams: [SSEClient] = []
            for client in ["198.51.100.1", "198.51.100.2"] {
                streams.append(
                    try await SSEClient(server.client.port, chat + "/stream", headers: ["X-Forwarded-For": client]))
            }
            try await server.expectRefusal(503, "overloaded", "a third of the peer") {
                try await server.client.get(chat, headers: ["X-Forwarded-For": "198.51.100.3"])
            }
            withExtendedLifetime(streams) {}
        }
    }

    @Test func oneApplicationLeavesStreamsForOthers() async throws {
        var options = TestServer.options
        options.maxConnections = 32
        options.connectionsPerAddress = 32
        try await TestServer.run(options: options) { server in
            let busy = try await server.client.makeChat()
            let quiet = try await server.client.makeChat()
            var streams: [SSEClient] = []
            for _ in 0..<26 { streams.append(try await SSEClient(server.client.port, busy + "/stream")) }
            #expect(streams.allSatisfy { $0.status == 200 })
            try await server.expectRefusal(503, "overloaded", "one more of the busy one") {
                try await server.client.get(busy + "/stream")
            }
            #expect(try await SSEClient(server.client.port, quiet + "/stream").status == 200)
            withExtendedLifetime(streams) {}
        }
    }
    /// A socket that shows its token late counts from then on.
    @Test func socketsCountForTheApplicationOfTheirToken() async throws {
        var options = TestServer.options
        options.maxConnections = 32
        options.connectionsPerAddress = 32
        try await TestServer.run(options: options) { server in
            let busy = try await TokenSite(server)
            let quiet = try await TokenSite(server)
            var sockets: [WebSocketClient] = []
            for _ in 0..<26 {
                let socket = try await busy.greetedSocket()
                #expect(try await socket.answer()["type"] as? String == "authenticated")
                sockets.append(socket)
            }
            #expect(try await busy.greetedSocket().closeCode() == 1013)
            try await server.expectRefusal(503, "overloaded", "a stream of the busy one") {
                try await server.client.get(busy.owner + "/chats/1/stream")
            }
            let other = try await quiet.greetedSocket()
            #expect(try await other.answer()["type"] as? String == "authenticated")
            // What has left counts no more.
            sockets.removeAll()
            try await eventually("there is room") {
                try await busy.greetedSocket().answer()["type"] as? String == "authenticated"
            }
        }
    }
}
