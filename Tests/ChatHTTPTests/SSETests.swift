import ChatCore
import Foundation
import TestSupport
import Testing

@testable import ChatHTTP

/// Server-sent events over a socket: the contract of a chat's stream.
@Suite(.timeLimit(.minutes(3))) struct SSETests {
    private static let subscriptions = "luciq_stream_subscriptions"
    private static let open = "luciq_live_connections{transport=\"sse\"}"

    private func post(_ chat: String, _ bodies: [String], _ server: TestServer) async throws {
        for body in bodies {
            let json = String(decoding: try JSONSerialization.data(withJSONObject: ["body": body]), as: UTF8.self)
            #expect(try await server.client.post(chat + "/messages", json: json).status == 201)
        }
    }

    @Test func opensAtOnce() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let stream = try await SSEClient(
                server.client.port, chat + "/stream", headers: ["Accept-Encoding": "gzip, deflate, br"])
            #expect(stream.status == 200)
            #expect(stream.headers["content-type"] == "text/event-stream")
            #expect(stream.headers["cache-control"] == "no-store, no-transform")
            #expect(stream.headers["x-accel-buffering"] == "no")
            #expect(stream.headers["connection"] == "close")
            #expect(stream.headers["x-request-id"]?.isEmpty == false)
            #expect(stream.headers["content-length"] == nil)
            #expect(stream.headers["content-encoding"] == nil)
            try await stream.waitForOpening()
            #expect(stream.retry == 1000)
            #expect(stream.lastEventID == "0")
            #expect(server.metric(Self.open) == 1)
        }
    }

    @Test func messagesAsTheyCome() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            try await post(chat, ["old"], server)
            let stream = try await SSEClient(server.client.port, chat + "/stream")
            try await stream.waitForOpening()
            #expect(stream.lastEventID == "1")
            let bodies = ["hi", "a\nb\r\n", "\u{2028}\"\\", "👩‍👩‍👧 é", String(repeating: "ü", count: 32_767)]
            try await post(chat, bodies, server)
            let listed = try await server.client.get(chat + "/messages?after=1").list
            for (number, item) in zip(2..., listed) {
                let event = try #require(try await stream.next())
                #expect(event.type == "message")
                #expect(event.id == "\(number)")
                #expect(NSDictionary(dictionary: event.json) == NSDictionary(dictionary: item))
                #expect(event.json["body"] as? String == bodies[number - 2])
            }
        }
    }

    @Test(arguments: [
        (query: "?after=0", header: nil, from: 1), ("?after=3", nil, 4), ("", "2", 3), ("?after=1", "4", 5),
        ("?after=4", "", 5), ("?after=0", "0", 1), ("?after=9", "0", 1),
    ])
    func cursors(_ query: String, _ header: String?, _ from: Int) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            try await post(chat, (1...5).map { "m\($0)" }, server)
            let headers = header.map { ["Last-Event-ID": $0] } ?? [:]
            let stream = try await SSEClient(server.client.port, chat + "/stream" + query, headers: headers)
            try await post(chat, ["m6"], server)
            #expect(try await stream.numbers(7 - from) == Array(from...6))
        }
    }

    /// A cursor above the highest number: nothing below it is ever sent.
    @Test func aCursorAboveTheHighestNumber() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            try await post(chat, ["m1"], server)
            let stream = try await SSEClient(server.client.port, chat + "/stream?after=3")
            try await stream.waitForOpening()
            #expect(stream.lastEventID == "3")
            try await post(chat, (2...5).map { "m\($0)" }, server)
            #expect(try await stream.numbers(2) == [4, 5])
        }
    }

    @Test(arguments: [
        (query: "after=x", header: nil, errors: ["After"]), ("after=", nil, ["After"]), ("after=-1", nil, ["After"]),
        ("after=%2B1", nil, ["After"]), ("after=9223372036854775808", nil, ["After"]), ("after=%ff", nil, ["After"]),
        ("after=1", "x", ["Last-Event-ID"]), ("after=x", "1", ["After"]),
        ("after=x", "y", ["After", "Last-Event-ID"]), ("x=1", "٤", ["Last-Event-ID"]), ("x=1", "-1", ["Last-Event-ID"]),
        ("x=1", "1, 2", ["Last-Event-ID"]),
    ])
    func cursorsThatAreNone(_ query: String, _ header: String?, _ names: [String]) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let headers = header.map { ["Last-Event-ID": $0] } ?? [:]
            let answer = try await server.expectRefusal(422, "invalid", "\(query) \(header ?? "")") {
                try await server.client.get(chat + "/stream?" + query, headers: headers)
            }
            #expect(answer.errors == names.map { "\($0) must be a number from 0 to 9223372036854775807" })
            #expect(server.metric(Self.subscriptions) == 0)
        }
    }

    /// A cursor beyond what the chat has, or of a store that was restored.
    @Test(arguments: ["1.0", "43.17", "e2.43", "e2.43.17"]) func cursorsOfOtherServers(_ cursor: String) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for (query, headers) in [("?after=" + cursor, [:]), ("", ["Last-Event-ID": cursor])] {
                let answer = try await server.client.get(chat + "/stream" + query, headers: headers)
                #expect(answer.status == 409 && answer.code == "cursor_epoch", "\(cursor): \(answer.text)")
                #expect(answer.json["cursor"] as? String == "0.0")
            }
        }
    }

    /// The answer to HEAD has the same headers, and the connection is not held.
    @Test func head() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            await connection.send("HEAD \(chat)/stream HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.finish()
            let text = String(decoding: try await connection.receiveAll(), as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 200 "))
            #expect(text.contains("Content-Type: text/event-stream\r\n"))
            #expect(!text.lowercased().contains("content-length"))
            // Nothing after the head, not even the end of a body in chunks.
            #expect(text.hasSuffix("\r\n\r\n") && text.components(separatedBy: "\r\n\r\n").count == 2)
            try await server.expectNobody()
        }
    }

    /// HTTP/1.0 has no chunks: the stream ends with the connection.
    @Test func anOldClient() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            await connection.send("GET \(chat)/stream?after=0 HTTP/1.0\r\n\r\n")
            try await post(chat, ["hi"], server)
            var text = ""
            while !text.contains("\"hi\"") {
                let bytes = try await connection.receive()
                try #require(!bytes.isEmpty)
                text += String(decoding: bytes, as: UTF8.self)
            }
            #expect(!text.lowercased().contains("transfer-encoding"))
            #expect(
                text.contains(
                    "\r\n\r\nretry: 1000\nevent: cursor\ndata: {\"cursor\":\"0\"}\nid: 0\n\nevent: message\ndata: {"))
        }
    }

    @Test func pagesOfAnotherOrigin() async throws {
        var options = TestServer.options
        options.corsOrigin = "https://app.example"
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let headers = ["Origin": "https://app.example"]
            let stream = try await SSEClient(server.client.port, chat + "/stream", headers: headers)
            #expect(stream.headers["access-control-allow-origin"] == "https://app.example")
            let preflight = try await server.client.send(
                "OPTIONS", chat + "/stream", headers: headers.merging(["Access-Control-Request-Method": "GET"]) { $1 })
            #expect(preflight["Access-Control-Allow-Headers"]?.contains("last-event-id") == true)
        }
    }

    /// The time-outs for slow requests do not end a silent stream.
    @Test func commentsKeepItAwake() async throws {
        var options = TestServer.options
        options.connections.idle = .milliseconds(400)
        options.connections.body = .milliseconds(400)
        options.connections.write = .milliseconds(400)
        options.live.comment = .milliseconds(100)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            let stream = try await SSEClient(server.client.port, chat + "/stream")
            try await stream.waitForComments(10)
            try await post(chat, ["still here"], server)
            #expect(try await stream.next()?.number == 1)
            try await stream.waitForComments(15)
        }
    }

    enum Goodbye: CaseIterable { case close, halfClose, reset }

    /// Nothing else is sent meanwhile, so only the `going_away` itself can reveal the end.
    @Test(arguments: Goodbye.allCases)
    func aClientThatLeavesIsForgotten(_ goodbye: Goodbye) async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            do {
                let stream = try await SSEClient(server.client.port, chat + "/stream")
                try await stream.waitForOpening()
                #expect(server.metric(Self.subscriptions) == 1)
                switch goodbye {
                case .close: break
                case .reset: stream.connection.endWithReset()
                case .halfClose:
                    stream.connection.finish()
                    #expect(try await stream.next() == nil)
                }
            }
            try await server.expectNobody()
            #expect(server.metric("luciq_stream_ended_total{code=\"cancelled\"}") == 1)
        }
    }

    /// A stream keeps its connection: bytes after its request are not read as another request.
    @Test func whatFollowsIsIgnored() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            do {
                let connection = try RawConnection(port: server.client.port)
                let get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                await connection.send(get + "GET \(chat)/stream HTTP/1.1\r\nHost: x\r\n\r\n" + get)
                var rest: [UInt8] = []
                #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
                #expect(try await connection.receiveAnswer(rest: &rest, isHead: true)?.status == 200)
                try await eventually("the stream is open") { server.metric(Self.open) == 1 }
            }
            try await server.expectNobody()
        }
    }

    @Test func aShutdownSaysSo() async throws {
        let streams = try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            var streams: [Task<[SSEClient.Event], any Error>] = []
            for _ in 0..<5 {
                let stream = try await SSEClient(server.client.port, chat + "/stream")
                try await stream.waitForOpening()
                nonisolated(unsafe) let client = stream
                streams.append(
                    Task {
                        var events: [SSEClient.Event] = []
                        while let event = try await client.next() { events.append(event) }
                        return events
                    })
            }
            return streams
        }
        for stream in streams {
            let events = try await stream.value
            #expect(events.map(\.type) == ["close"])
            #expect(events.first?.data == #"{"code":"going_away","reconnect":true}"#)
        }
    }

    /// A shutdown does not wait for a stream whose client does not read `going_away`, however long a client may
    /// otherwise be slow.
    @Test func aShutdownDoesNotWaitForWhoDoesNotRead() async throws {
        var options = TestServer.options
        options.connections.write = .seconds(3600)
        let stuck = try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            try await server.fill(chat, 200, size: 65_000)
            let stream = try await SSEClient(server.client.port, chat + "/stream?after=0")
            #expect(try await stream.next()?.number == 1)
            return stream.connection
        }
        withExtendedLifetime(stuck) {}
    }

    /// A slow client is told so when it reads again, resumes from its cursor, and has every message once. Other clients
    /// notice nothing.
    @Test func aSlowConsumerIsToldAndResumes() async throws {
        var streams = StreamLimits()
        streams.window.messages = 8
        streams.smallWindow.messages = 4
        var options = TestServer.options
        options.connections.write = .seconds(600)
        try await TestServer.run(options: options, streams: streams) { server in
            let chat = try await server.client.makeChat()
            let slow = try await SSEClient(server.client.port, chat + "/stream")
            try await slow.waitForOpening()
            let quick = try await SSEClient(server.client.port, chat + "/stream")
            // More than the buffers of two sockets hold. Each is stored when the quick one has the last.
            let (sent, body) = (200, String(repeating: "x", count: 65_000))
            for number in 1...sent {
                try await post(chat, [body], server)
                #expect(try await quick.next()?.number == number)
            }
            var received: [Int] = []
            var close: SSEClient.Event?
            while let event = try await slow.next() {
                if event.type == "close" { close = event } else { received.append(event.number ?? -1) }
            }
            #expect(close?.data == #"{"code":"slow_consumer","reconnect":true}"#)
            #expect(server.metric("luciq_stream_ended_total{code=\"slow_consumer\"}") == 1)
            let resumed = try await SSEClient(
                server.client.port, chat + "/stream", headers: ["Last-Event-ID": slow.lastEventID])
            received += try await resumed.numbers(sent - received.count)
            #expect(received == Array(1...sent))
        }
    }

    @Test func whoNeverReadsIsClosed() async throws {
        var options = TestServer.options
        options.connections.write = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            try await server.fill(chat, 200, size: 65_000)
            let stream = try await SSEClient(server.client.port, chat + "/stream?after=0")
            try await server.expectNobody()
            #expect(server.metric("luciq_http_connections_refused_total{code=\"timed_out\"}") == 1)
            withExtendedLifetime(stream) {}
        }
    }

    /// From the first message to live ones that are stored meanwhile: each once, in order.
    @Test func aLongWayToTheHead() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let (old, new) = (3000, 200)
            try await server.fill(chat, old, size: 20)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let stream = try await SSEClient(server.client.port, chat + "/stream?after=0")
                        #expect(try await stream.numbers(old + new) == Array(1...(old + new)))
                    }
                }
                group.addTask { try await post(chat, (0..<new).map { "new \($0)" }, server) }
                try await group.waitForAll()
            }
            try await server.expectNobody()
        }
    }

    @Test func whoIsNotServedIsRefused() async throws {
        var streams = StreamLimits()
        streams.subscriptions = 4  // Half of them is one tenant's.
        try await TestServer.run(streams: streams) { server in
            let chat = try await server.client.makeChat()
            do {
                let held = [
                    try await SSEClient(server.client.port, chat + "/stream"),
                    try await SSEClient(server.client.port, chat + "/stream"),
                ]
                try await server.expectRefusal(503, "overloaded", "the third") {
                    try await server.client.get(chat + "/stream")
                }
                withExtendedLifetime(held) {}
            }
            try await server.expectNobody()
            #expect(try await SSEClient(server.client.port, chat + "/stream").status == 200)
        }
    }
}
