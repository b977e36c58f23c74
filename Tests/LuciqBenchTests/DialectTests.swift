import NIOCore
import Testing

@testable import luciq_bench

@Suite struct DialectTests {
    private func events(_ dialect: Dialect, _ parts: [Substring.UTF8View]) -> [Dialect.Event] {
        var (bytes, events) = (ByteBuffer(), [Dialect.Event]())
        for part in parts {
            bytes.writeBytes(part)
            while let event = dialect.event(in: &bytes) { events.append(event) }
        }
        return events
    }

    /// The same events, wherever the bytes are cut into two reads.
    private func expect(_ dialect: Dialect, _ text: String, _ expected: [Dialect.Event]) {
        let wrong = text.utf8.indices.map { events(dialect, [text.utf8[..<$0], text.utf8[$0...]]) }
            .filter { $0 != expected }
        #expect(wrong.isEmpty, "\(wrong.count) of \(text.utf8.count) cuts, the first: \(wrong.first ?? [])")
    }

    @Test func anAnswerOfHTTPEndsWithItsBody() {
        let created = "HTTP/1.1 201 Created\r\ncontent-LENGTH: 5\r\nX-A: b\r\n\r\nab\r\nc"
        let refused = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length:0\r\n\r\n"
        expect(.http, created + refused + created, [true, false, true].map { .answer(isGood: $0) })
    }

    @Test func aBodyOfUnknownLengthIsNoAnswer() {
        #expect(events(.http, ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[...].utf8]) == [.nonsense])
        #expect(events(.http, ["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"[...].utf8]) == [.nonsense])
        #expect(events(.http, ["SSH-2.0\r\nContent-Length: 0\r\n\r\n"[...].utf8]) == [.nonsense])
    }

    @Test func aPublishIsAnsweredWhenItIsStored() {
        expect(
            .nats,
            "INFO {\"max_payload\":1048576}\r\nPONG\r\nMSG _INBOX.bench.1 1 26\r\n{\"stream\":\"bench\",\"seq\":1}\r\n"
                + "PING\r\nMSG _INBOX.bench.1 1 18\r\n{\"error\":{\"code\"}}\r\n",
            [.note, .ready, .answer(isGood: true), .ping, .answer(isGood: false)])
        #expect(events(.nats, ["-ERR 'Authorization Violation'\r\n"[...].utf8]) == [.nonsense])
    }

    @Test func requestsSayWhatTheyCarry() {
        let post = String(buffer: Dialect.http.request(to: "/a", "{\"ü\":1}", connection: 3))
        #expect(post.hasPrefix("POST /a HTTP/1.1\r\n") && post.hasSuffix("Content-Length: 8\r\n\r\n{\"ü\":1}"))
        let get = String(buffer: Dialect.http.request(to: "/a", nil, connection: 3))
        #expect(get == "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let publish = String(buffer: Dialect.nats.request(to: "bench.7", "üx", connection: 3))
        #expect(publish == "PUB bench.7 _INBOX.bench.3 3\r\nüx\r\n")
    }
}
