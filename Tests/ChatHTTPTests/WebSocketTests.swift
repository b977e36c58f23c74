import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// The contract's WebSocket over a real one.
@Suite(.timeLimit(.minutes(3))) struct WebSocketTests {
    private static let open = "luciq_live_connections{transport=\"websocket\"}"

    @Test func theHandshake() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let client = try await WebSocketClient(
                server.client.port, server.application(chat) + "/socket",
                headers: WebSocketClient.handshake.merging(["X-Request-Id": "mine", "Origin": "http://127.0.0.1"]) {
                    $1
                })
            #expect(client.answer.status == 101)
            // RFC 6455, 1.3.
            #expect(client.answer["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(client.answer["Upgrade"] == "websocket")
            #expect(client.answer["Connection"] == "upgrade")
            #expect(client.answer["X-Request-Id"] == "mine")
            for name in ["Content-Length", "Transfer-Encoding", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
                #expect(client.answer[name] == nil, "\(name)")
            }
            try await eventually("it is counted") { server.metric(Self.open) == 1 }
            await client.send(WebSocketClient.bytes(close: 1000))
            #expect(try await client.closeCode() == 1000)
            try await server.expectNobody()
        }
    }

    static let badHandshakes: [(change: [String: String?], status: Int)] = [
        (["Upgrade": nil], 426), (["Upgrade": "h2c"], 426), (["Connection": "close"], 426), (["Connection": nil], 426),
        (["Sec-WebSocket-Version": nil], 426), (["Sec-WebSocket-Version": "8"], 426),
        (["Sec-WebSocket-Version": "13, 8"], 426), (["Sec-WebSocket-Key": nil], 400), (["Sec-WebSocket-Key": ""], 400),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"], 400), (["Sec-WebSocket-Key": "c2hvcnQ="], 400),
        (["Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="], 400),
        (["Content-Length": "3"], 400), (["Origin": "https://evil.example"], 403), (["Origin": "null"], 403),
        (["Upgrade": "foo, websocket", "Connection": "upgrade"], 101), (["Content-Length": "0"], 101),
    ]

    @Test(arguments: badHandshakes.indices)
    func handshakes(_ index: Int) async throws {
        let (change, status) = Self.badHandshakes[index]
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            var headers = WebSocketClient.handshake
            for (name, value) in change { headers[name] = value }
            let client = try await WebSocketClient(
                server.client.port, server.application(chat) + "/socket", headers: headers)
            #expect(client.answer.status == status)
            guard status != 101 else { return }
            let codes = [400: "bad_handshake", 403: "origin_not_allowed", 426: "upgrade_required"]
            #expect(client.answer.code == codes[status])
            if status == 426 {
                #expect(client.answer["Sec-WebSocket-Version"] == "13")
                #expect(client.answer["Upgrade"] == "websocket")
                #expect(client.answer["Connection"]?.contains("upgrade") == true)
            }
            #expect(server.metric(Self.open) == 0)
        }
    }

    /// An upgrade offered in HTTP/1.0 is ignored.
    @Test func anOldClient() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            let headers = WebSocketClient.handshake.map { "\($0): \($1)\r\n" }.joined()
            await connection.send("GET \(server.application(chat))/socket HTTP/1.0\r\n\(headers)\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 426)
        }
    }

    @Test(arguments: [
        ("https://app.example", "https://app.example", 101), ("https://app.example", "https://evil.example", 403),
        ("https://app.example", "http://127.0.0.1", 101), ("*", "https://evil.example", 101),
    ])
    func origins(_ setting: String, _ origin: String, _ status: Int) async throws {
        var options = TestServer.options
        options.corsOrigin = setting
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let headers = WebSocketClient.handshake.merging(["Origin": origin]) { $1 }
            let client = try await WebSocketClient(
                server.client.port, server.application(chat) + "/socket", headers: headers)
            #expect(client.answer.status == status)
        }
    }

    /// Bytes that a client sends before it has the answer are kept, and so are requests before the handshake.
    @Test func earlyFrames() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            let headers = WebSocketClient.handshake.map { "\($0): \($1)\r\n" }.joined()
            let ping = WebSocketClient.bytes(WebSocketClient.Opcode.ping, Array("early".utf8))
            await connection.send(
                Array("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
                    + Array("GET \(server.application(chat))/socket HTTP/1.1\r\nHost: x\r\n\(headers)\r\n".utf8) + ping
                    + WebSocketClient.bytes(close: 1000))
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 101)
            rest += try await connection.receiveAll()
            let expected: [UInt8] = [0x8A, 5] + Array("early".utf8) + [0x88, 2, 0x03, 0xE8]
            #expect(rest == expected)
            try await server.expectNobody()
        }
    }

    @Test func manyChatsOverOneConnection() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for _ in 2...3 { _ = try await server.client.send("POST", server.application(chat) + "/chats") }
            try await server.fill(chat, 3, size: 2)
            let client = try await server.connect(chat)
            await client.send(#"{"type":"subscribe","chat":1,"after":"1"}"#)
            #expect(try await client.next()?.text == #"{"type":"subscribed","chat":1,"cursor":"1"}"#)
            for number in 2...3 {
                let message = try await client.answer()
                #expect(message["type"] as? String == "message")
                #expect(message["chat"] as? Int == 1)
                #expect(message["cursor"] as? String == "\(number)")
                let listed = try await server.client.get(chat + "/messages?after=\(number - 1)&limit=1").list[0]
                let inner = try #require(message["message"] as? [String: Any])
                #expect(NSDictionary(dictionary: inner) == NSDictionary(dictionary: listed))
            }
            await client.send(#"{"type":"subscribe","chat":2,"ref":"two"}"#)
            #expect(try await client.next()?.text == #"{"type":"subscribed","chat":2,"cursor":"0","ref":"two"}"#)
            _ = try await server.client.post(
                server.application(chat) + "/chats/2/messages", json: #"{"body":"to two"}"#)
            #expect((try await client.answer()["message"] as? [String: Any])?["body"] as? String == "to two")
            _ = try await server.client.post(
                server.application(chat) + "/chats/3/messages", json: #"{"body":"to nobody"}"#)
            await client.send(#"{"type":"unsubscribe","chat":1}"#)
            #expect(try await client.next()?.text == #"{"type":"unsubscribed","chat":1}"#)
            _ = try await server.client.post(chat + "/messages", json: #"{"body":"unheard"}"#)
            _ = try await server.client.post(server.application(chat) + "/chats/2/messages", json: #"{"body":"heard"}"#)
            #expect((try await client.answer()["message"] as? [String: Any])?["body"] as? String == "heard")
            await client.send(#"{"type":"subscribe","chat":1,"after":"3"}"#)
            #expect(try await client.answer()["cursor"] as? String == "3")
            #expect((try await client.answer()["message"] as? [String: Any])?["body"] as? String == "unheard")
        }
    }

    @Test func sending() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            for ref in ["1", "2"] {
                await client.send("{\"type\":\"send\",\"chat\":1,\"ref\":\"\(ref)\",\"key\":\"k-1\",\"body\":\"hi\"}")
            }
            #expect(try await client.next()?.text == #"{"type":"sent","ref":"1","chat":1,"message_number":1}"#)
            let again = try await client.next()?.text
            #expect(again == #"{"type":"sent","ref":"2","chat":1,"message_number":1,"replayed":true}"#)
            // The same key as that of a request.
            let posted = try await server.client.post(
                chat + "/messages", json: #"{"body":"hi"}"#, headers: ["Idempotency-Key": "k-1"])
            #expect(posted["Idempotent-Replayed"] == "true")
            // Clients number their requests from 1 on every connection.
            let other = try await server.connect(chat)
            await other.send(#"{"type":"send","chat":1,"ref":"1","body":"another"}"#)
            #expect(try await other.next()?.text == #"{"type":"sent","ref":"1","chat":1,"message_number":2}"#)
            let refused = [
                (#"{"type":"send","chat":1,"ref":"c-1","key":"k-1","body":"other"}"#, "idempotency_key_reused"),
                (#"{"type":"send","chat":1,"ref":"c-1","key":"","body":"x"}"#, "invalid"),
                (#"{"type":"send","chat":1,"ref":"c-1","key":"é","body":"x"}"#, "invalid"),
                (#"{"type":"send","chat":1,"ref":"c-2","body":" "}"#, "invalid"),
                (#"{"type":"send","chat":1,"ref":"c-3","body":"\u0000"}"#, "invalid"),
                (#"{"type":"send","chat":9,"ref":"c-4","body":"x"}"#, "not_found"),
                (#"{"type":"subscribe","chat":9,"ref":"c-5"}"#, "not_found"), ("{", "malformed_json"),
            ]
            for (text, code) in refused {
                await client.send(text)
                let answer = try await client.answer()
                #expect(answer["type"] as? String == "error", "\(text)")
                #expect(answer["code"] as? String == code, "\(text)")
                #expect((answer["detail"] as? String)?.hasSuffix(".") == true, "\(text)")
            }
            let largest = String(repeating: "\\\\", count: 65_535)
            await client.send("{\"type\":\"send\",\"chat\":1,\"body\":\"\(largest)\"}")
            #expect(try await client.answer()["message_number"] as? Int == 3)
            #expect(try await server.client.get(chat + "/messages").numbers == [1, 2, 3])
            #expect(
                try await server.client.get(chat + "/messages/3").json["body"] as? String
                    == String(repeating: "\\", count: 65_535))
        }
    }

    /// Another tenant's chat does not exist for this one.
    @Test func anothersChat() async throws {
        try await TestServer.run { server in
            let mine = try await server.client.makeChat()
            let other = try await server.client.makeChat()
            _ = try await server.client.send("POST", server.application(other) + "/chats")
            let client = try await server.connect(mine)
            for chat in [2, 7] {
                for text in [
                    "{\"type\":\"subscribe\",\"chat\":\(chat)}", "{\"type\":\"send\",\"chat\":\(chat),\"body\":\"x\"}",
                ] {
                    await client.send(text)
                    var answer = try await client.answer()
                    answer["chat"] = nil
                    answer["ref"] = nil
                    let expected = [
                        "type": "error", "code": "not_found", "detail": Problem.notFound.detail,
                    ]
                    #expect(answer as? [String: String] == expected)
                }
            }
            #expect(try await server.client.get(server.application(other) + "/chats/2/messages").numbers == [])
        }
    }

    /// Numbers rise in the order in which one connection sent to a chat, however fast it does; and it may leave at once.
    @Test func whatWasSentIsStoredInOrder() async throws {
        var options = TestServer.options
        options.live.sends = 4
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            _ = try await server.client.send("POST", server.application(chat) + "/chats")
            let client = try await server.connect(chat)
            let count = 100
            var bytes: [UInt8] = []
            for number in 1...count {
                for chat in 1...2 {
                    let text = "{\"type\":\"send\",\"chat\":\(chat),\"body\":\"\(number)\"}"
                    bytes += WebSocketClient.bytes(WebSocketClient.Opcode.text, Array(text.utf8))
                }
            }
            await client.send(bytes + WebSocketClient.bytes(close: 1000))
            var numbers: [Int: [Int]] = [:]
            while let frame = try await client.next(), frame.opcode == WebSocketClient.Opcode.text {
                numbers[frame.json["chat"] as? Int ?? 0, default: []].append(frame.json["message_number"] as? Int ?? 0)
            }
            for chatNumber in 1...2 {
                #expect(numbers[chatNumber] == Array(1...count))
                let list = try await server.client.get(
                    server.application(chat) + "/chats/\(chatNumber)/messages?limit=1000"
                )
                .list
                #expect(list.map { $0["body"] as? String } == (1...count).map { "\($0)" })
            }
            try await server.expectNobody()
        }
    }

    /// The server stops reading a client while many of its messages are still to be stored, whether they came one by
    /// one or all at once.
    @Test(arguments: [false, true]) func whoSendsMuchIsHeld(_ allAtOnce: Bool) async throws {
        var options = TestServer.options
        options.live.sends = 4
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let client = try await server.connect(chat)
            // Each to a chat of its own: those of one chat are stored one after the other.
            for _ in 2...9 { _ = try await server.client.post(server.application(chat) + "/chats", json: "") }
            server.writes.hold()
            func message(_ chat: Int) -> [UInt8] {
                let text = "{\"type\":\"send\",\"chat\":\(chat),\"body\":\"x\"}"
                return WebSocketClient.bytes(WebSocketClient.Opcode.text, Array(text.utf8))
            }
            await client.send(message(1))
            try await server.writes.waitForHeld(1)
            let ping = WebSocketClient.bytes(WebSocketClient.Opcode.ping)
            let rest = (2...9).map(message) + [ping]
            for bytes in allAtOnce ? [rest.flatMap(\.self)] : rest { await client.send(bytes) }
            try await eventually("the others wait behind it") {
                server.metric("luciq_writer_queue_depth{writer=\"messages\"}") == 3
            }
            // If the server had read it, its answer would come before those of the messages.
            #expect(try await server.client.get("/livez").status == 200)
            #expect(server.metric("luciq_writer_queue_depth{writer=\"messages\"}") == 3)
            server.writes.release()
            for _ in 1...5 { #expect(try await client.next()?.opcode == WebSocketClient.Opcode.text) }
            var others: [UInt8?] = []
            for _ in 6...10 { others.append(try await client.next()?.opcode) }
            #expect(others.filter { $0 == WebSocketClient.Opcode.pong }.count == 1)
        }
    }

    /// Messages of a client that has left are stored.
    @Test func whatAGoneClientSentIsStored() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            do {
                let client = try await server.connect(chat)
                server.writes.hold()
                for number in 1...5 { await client.send("{\"type\":\"send\",\"chat\":1,\"body\":\"\(number)\"}") }
                // A ping is answered when all before it was read.
                await client.send(WebSocketClient.bytes(WebSocketClient.Opcode.ping))
                #expect(try await client.next()?.opcode == WebSocketClient.Opcode.pong)
                try await server.writes.waitForHeld(1)
                client.connection.endWithReset()
            }
            try await server.expectNobody()
            server.writes.release()
            try await eventually("all are stored") {
                try await server.client.get(chat + "/messages").numbers == [1, 2, 3, 4, 5]
            }
        }
    }

    @Test func subscriptionsAreBounded() async throws {
        var options = TestServer.options
        options.live.subscriptions = 2
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            for _ in 2...3 { _ = try await server.client.send("POST", server.application(chat) + "/chats") }
            let client = try await server.connect(chat)
            for number in 1...2 {
                await client.send("{\"type\":\"subscribe\",\"chat\":\(number)}")
                #expect(try await client.answer()["type"] as? String == "subscribed")
            }
            await client.send(#"{"type":"subscribe","chat":3}"#)
            #expect(try await client.answer()["code"] as? String == "too_many_subscriptions")
            await client.send(#"{"type":"subscribe","chat":1}"#)
            #expect(try await client.answer()["code"] as? String == "already_subscribed")
        }
    }

    /// A store that is down fails requests, not the connection.
    @Test func theStoreIsAway() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let client = try await WebSocketClient(server.client.port, "/applications/\(place.token)/socket")
            server.reads.fail(ChatError.unavailable(reason: "The disk is full"))
            await client.send(#"{"type":"subscribe","chat":1,"ref":"r"}"#)
            let refused = #"{"type":"error","ref":"r","chat":1,"code":"unavailable","detail":"The disk is full."}"#
            #expect(try await client.next()?.text == refused)
            server.reads.fail(nil)
            await client.send(#"{"type":"subscribe","chat":1,"after":"0"}"#)
            #expect(try await client.answer()["type"] as? String == "subscribed")
            #expect(try await client.answer()["cursor"] as? String == "1")
        }
    }

    /// Several chats, long ones, while more is stored: each message once, in its chat's order.
    @Test func aLongWayToTheHead() async throws {
        var options = TestServer.options
        // A ping would be among the answers of a slow machine.
        options.live.ping = .seconds(600)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let chats = 6
            for _ in 2...chats { _ = try await server.client.send("POST", server.application(chat) + "/chats") }
            let (old, new) = (600, 50)
            for number in 1...chats {
                try await server.fill(server.application(chat) + "/chats/\(number)", old, size: 20)
            }
            let client = try await server.connect(chat)
            for number in 1...chats { await client.send("{\"type\":\"subscribe\",\"chat\":\(number),\"after\":\"0\"}") }
            async let posting: Void = {
                for index in 0..<new * chats {
                    _ = try await server.client.post(
                        server.application(chat) + "/chats/\(index % chats + 1)/messages", json: #"{"body":"new"}"#)
                }
            }()
            var cursors: [Int: Int] = [:]
            var left = chats * (old + new + 1)
            while left > 0 {
                let answer = try await client.answer()
                left -= 1
                let number = try #require(answer["chat"] as? Int)
                let cursor = try #require((answer["cursor"] as? String).flatMap { Int($0) })
                if answer["type"] as? String == "message" {
                    #expect(cursor == cursors[number, default: 0] + 1)
                    cursors[number] = cursor
                }
            }
            try await posting
            #expect(cursors.values.allSatisfy { $0 == old + new })
        }
    }
}
