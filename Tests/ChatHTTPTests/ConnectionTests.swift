import ChatHTTP
import Foundation
import HTTPTypes
import NIOCore
import TestSupport
import Testing

/// What a socket can do to a server.
@Suite(.timeLimit(.minutes(3))) struct ConnectionTests {
    @Test(arguments: [
        "GARBAGE\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
        "BREW /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nBad Header: x\r\n\r\n", "GET /livez HTTP/1.1\r\n: x\r\n\r\n",
        "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /applications HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n",
    ])
    func whatIsNoHTTPIs400AndTheEnd(_ text: String) async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(text)
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == 400)
            #expect(answer.code == "malformed_request")
            #expect(answer["Connection"] == "close")
            #expect(answer["X-Request-Id"] != nil)
            connection.finish()
            #expect(try await connection.receiveAll() + rest == [])
            let isCounted = server.metric("luciq_http_connections_refused_total{code=\"malformed_request\"}") == 1
            // A request whose head was understood is counted.
            #expect(isCounted || text.contains("chunked"))
        }
    }

    /// RFC 9112, 3.2: exactly one Host. Older clients need none.
    @Test(arguments: [
        ("GET /livez HTTP/1.1\r\n\r\n", 400), ("GET /livez HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400), ("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (
            "POST /applications HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}",
            400
        ),
        ("GET /livez HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400), ("GET /livez HTTP/1.0\r\n\r\n", 200),
    ])
    func oneHost(_ request: String, _ status: Int) async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            let good = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            // Earlier requests are answered first; nothing after a refusal is.
            await connection.send(good + request + good)
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == status)
            if status == 400 {
                #expect(answer.json["detail"] as? String == "A request must have exactly one Host header.")
                connection.finish()
                #expect(try await connection.receiveAll() + rest == [])
            }
            #expect(try server.contents() == [])
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let connection = try RawConnection(port: server.client.port)
            let body = "{\"body\":\"x\"}"
            let post =
                "POST \(chat)/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            await connection.send(String(repeating: post + get, count: 50) + "NONSENSE\r\n\r\n")
            var rest: [UInt8] = []
            for number in 1...50 {
                let created = try #require(try await connection.receiveAnswer(rest: &rest))
                #expect(created.json["message_number"] as? Int == number)
                #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            }
            // The unreadable request is answered last, and ends the connection.
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 400)
            connection.finish()
            #expect(try await connection.receiveAll() == [])
        }
    }

    /// More than are answered in one turn of the event loop, from a client that closes its sending side at once.
    @Test func manyPipelinedRequestsAreAllAnswered() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            let count = 1000
            let request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            await connection.send(String(repeating: request, count: count))
            connection.finish()
            var rest: [UInt8] = []
            for _ in 0..<count { #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n") }
            #expect(try await connection.receiveAll() + rest == [])
        }
    }

    @Test func aCodingThatIsUnknownIsCounted() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 501)
            let metric = "luciq_http_connections_refused_total{code=\"unknown_transfer_encoding\"}"
            #expect(server.metric(metric) == 1)
        }
    }

    @Test(arguments: [
        "GET /livez HTTP/1.0\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ])
    func theLastRequestIsAnsweredAndClosed(_ request: String) async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            // Bytes after it are not answered, and a flood of them does not fill the memory.
            await connection.send(request + String(repeating: "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", count: 5000))
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.text == "ok\n")
            #expect(answer["Connection"] == "close")
            connection.finish()
            #expect(try await connection.receiveAll() + rest == [])
        }
    }

    @Test func aClientThatAsksIsToldToContinue() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            let body = "{\"name\":\"x\"}"
            await connection.send(
                "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 100)
            await connection.send(body)
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 201)
        }
    }

    @Test func theAnswerToHeadHasNoBody() async throws {
        try await TestServer.run { server in
            for path in ["/nothing", "/applications", "/up", "/openapi.yaml", "/metrics"] {
                let connection = try RawConnection(port: server.client.port)
                await connection.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                var rest: [UInt8] = []
                let head = try #require(try await connection.receiveAnswer(rest: &rest, isHead: true))
                #expect(head.status == (path == "/nothing" ? 404 : path == "/applications" ? 401 : 200))
                #expect(head["Content-Length"] != nil)
                // If the answer had a body, this would not parse as an answer.
                #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            }
        }
    }

    @Test func aShutdownSendsALargeAnswerToItsEnd() async throws {
        let (connection, expected) = try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            let body = String(repeating: "x", count: 65_000)
            for _ in 0..<60 { _ = try await server.client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}") }
            let expected = try await server.client.get(chat + "/messages").body.count
            let connection = try RawConnection(port: server.client.port)
            await connection.send("GET \(chat)/messages HTTP/1.1\r\nHost: x\r\n\r\n")
            // The answer is on its way, and most of it waits for us to read.
            let start = try await connection.receive()
            let reading = Task { start + (try await connection.receiveAll()) }
            return (reading, expected)
        }
        #expect(try await connection.value.count > expected)
    }

    /// The rest of a body that nobody wants is not waited for.
    @Test(.timeLimit(.minutes(1))) func aShutdownDoesNotWaitForABodyThatIsThrownAway() async throws {
        var options = TestServer.options
        options.connections.body = .seconds(600)
        let connection = try await TestServer.run(options: options) { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            return connection
        }
        #expect(try await connection.receiveAll() == [])
    }

    @Test func anOldClientIsNotToldToContinue() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            let body = "{\"name\":\"x\"}"
            await connection.send(
                "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                    + "POST /applications HTTP/1.0\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n")
            var rest: [UInt8] = []
            // What it says to the second head comes with this.
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "ok\n")
            await connection.send(body)
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 201)
        }
    }

    @Test func aRequestWithAnUnreadableBodyIsAnsweredAsOne() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "POST /applications HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
                    + "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == 400 && answer.code == "malformed_request" && answer["X-Request-Id"] == "mine")
            connection.finish()
            #expect(try await connection.receiveAll() + rest == [])
            #expect(server.log.lines.contains { $0.contains("mine") && $0.contains("400") })
        }
    }

    /// Another answer for the same request must not be taken for that of the next one.
    @Test func aRequestHasOneAnswer() async throws {
        try await TestServer.run(extraRoutes: { routes in
            routes.on(.get, "/twice") { _ in
                .later { reply in
                    Task {
                        for text in ["first", "second"] {
                            reply(.success(Response(contentType: "text/plain", body: ByteBuffer(string: text))))
                        }
                    }
                }
            }
            routes.on(.get, "/once") { _ in
                .task { Response(contentType: "text/plain", body: ByteBuffer(string: "once")) }
            }
        }) { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "GET /twice HTTP/1.1\r\nHost: x\r\n\r\n" + "GET /once HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "first")
            #expect(try await connection.receiveAnswer(rest: &rest)?.text == "once")
        }
    }

    /// A body is held until its request is answered.
    @Test func aBodyCountsUntilItsAnswer() async throws {
        try await TestServer.run { server in
            let before = server.metric("luciq_http_held_bytes")
            server.writes.hold()
            let json = "{\"name\":\"x\",\"y\":\"\(String(repeating: "y", count: 200_000))\"}"
            let created = Task { try await server.client.post("/applications", json: json) }
            try await server.writes.waitForHeld(1)
            try await eventually("it is counted") { server.metric("luciq_http_held_bytes") >= before + 200_000 }
            server.writes.release()
            #expect(try await created.value.status == 201)
            try await eventually("it is gone") { server.metric("luciq_http_held_bytes") == before }
        }
    }

    /// Two readers may go by the one or the other.
    @Test func twoTypesAreNone() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            let body = "{\"name\":\"x\"}"
            await connection.send(
                "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Type: text/plain\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 415)
        }
    }

    @Test func aBodyThatIsTooLargeIsRefusedBeforeItIsSent() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n{"
            )
            var rest: [UInt8] = []
            let answer = try #require(try await connection.receiveAnswer(rest: &rest))
            #expect(answer.status == 413)
            #expect(answer["Connection"] == "close")
        }
    }

    @Test func aChunkedBodyThatIsTooLargeIsCutOff() async throws {
        try await TestServer.run { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(
                "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            let chunk = "10000\r\n" + String(repeating: "x", count: 0x10000) + "\r\n"
            for _ in 0..<8 { await connection.send(chunk) }
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 413)
        }
    }

    @Test func aClientThatGoesAwayHarmsNobody() async throws {
        try await TestServer.run { server in
            let chat = try await server.client.makeChat()
            for _ in 0..<20 {
                _ = try await server.client.post(
                    chat + "/messages", json: "{\"body\":\"\(String(repeating: "x", count: 60_000))\"}")
            }
            for round in 0..<40 {
                let connection = try RawConnection(port: server.client.port)
                switch round % 4 {
                case 0: await connection.send("GET \(chat)/messages HTTP/1.1\r\nHost: x\r\n\r\n")
                case 1:
                    await connection.send("POST \(chat)/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
                case 2: await connection.send("GET /li")
                default: break
                }
            }
            #expect(try await server.client.get(chat + "/message_count").json["messages_count"] as? Int == 20)
            let next = try await server.client.post(chat + "/messages", json: #"{"body":"x"}"#)
            #expect(next.json["message_number"] as? Int == 21)
        }
    }

    @Test(arguments: [
        "", "GET /livez HT",
        "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
    ])
    func aConnectionThatSendsNothingMoreIsClosed(_ text: String) async throws {
        var options = TestServer.options
        options.connections.idle = .milliseconds(300)
        options.connections.body = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let connection = try RawConnection(port: server.client.port)
            await connection.send(text)
            #expect(try await connection.receiveAll() == [])
        }
    }

    @Test func aByteNowAndThenDoesNotKeepAConnectionOpen() async throws {
        var options = TestServer.options
        options.connections.idle = .milliseconds(300)
        options.connections.body = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            for start in [
                "GET /livez HTTP/1.1\r\nX: ",
                "POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n",
            ] {
                let connection = try RawConnection(port: server.client.port)
                await connection.send(start)
                // Sending fails once the server has closed; it would go on for ever if every byte counted as life.
                try await eventually("it is closed") { await !connection.send("x") }
            }
        }
    }

    @Test func aClientThatDoesNotReadIsClosed() async throws {
        var options = TestServer.options
        options.connections.write = .milliseconds(300)
        try await TestServer.run(options: options) { server in
            let chat = try await server.client.makeChat()
            for _ in 0..<60 {
                _ = try await server.client.post(
                    chat + "/messages", json: "{\"body\":\"\(String(repeating: "x", count: 65_000))\"}")
            }
            let connection = try RawConnection(port: server.client.port)
            let get = "GET \(chat)/messages HTTP/1.1\r\nHost: x\r\n\r\n"
            await connection.send(String(repeating: get, count: 20))
            try await eventually("it is closed") {
                server.metric("luciq_http_connections_refused_total{code=\"timed_out\"}") == 1
            }
            try await eventually("it is gone") { server.metric("luciq_http_connections") == 0 }
        }
    }
}
