import Foundation
import TestSupport
import Testing

/// The executable over HTTP/2, with curl, Python's h2, and a browser.
@Suite(.timeLimit(.minutes(3))) struct HTTP2ServeTests {
    @Test func curl() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let format = "%{http_version} %{http_code} "
        func ask(_ arguments: String...) async throws -> String {
            let common = ["curl", "-sS", "--max-time", "20", "--cacert", server.certificate, "-w", format]
            return try await runProgram(common + arguments)
        }
        #expect(try await ask("-o", "/dev/null", server.url("/livez")) == "2 200")
        #expect(try await ask("-o", "/dev/null", "--http1.1", server.url("/livez")) == "1.1 200")
        #expect(try await ask("-o", "/dev/null", "-I", server.url("/livez")) == "2 200")
        let made = try await ask("--json", #"{"name":"x"}"#, server.url("/applications"))
        #expect(made.hasSuffix("2 201"))
        // Many on one connection.
        let many = try await ask("--parallel", "-o", "/dev/null", server.url("/livez?[1-50]"))
        #expect(many == Array(repeating: "2 200", count: 50).joined(separator: " "))
    }

    /// A shutdown: what has begun is answered, streams of events get their last event, and other requests go elsewhere.
    @Test func shutdown() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await HTTP2Script.run(
            """
            chat = make_chat()
            peer, idle = Peer(), Peer()
            assert idle.ask('GET', '/livez')[0] == 200
            live = [peer.start('GET', chat + '/stream') for _ in range(20)]
            for stream in live:
                peer.data(stream, b'\\n\\n')
            late = peer.start('POST', chat + '/messages', [('content-type', 'application/json')], end=False)
            peer.send(late, b'{"body":', end=False)
            assert peer.ask('GET', '/livez')[0] == 200
            os.kill(\(server.process.pid), signal.SIGTERM)
            event = peer.next(h2.events.ConnectionTerminated)
            assert event.error_code == ErrorCodes.NO_ERROR and event.last_stream_id == late + 2, event
            for stream in live:
                assert b'going_away' in peer.answer(stream)[2]
            peer.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            peer.send(late, b'"x"}')
            assert peer.answer(late)[0] == 201
            assert peer.end() is None and idle.end() == ErrorCodes.NO_ERROR
            print('ok')
            """, port: server.port)
        #expect(output == "ok")
        #expect(await server.process.wait().code == 0)
    }

    /// Over HTTP/1.1 a browser opens six connections to a server, and the seventh stream waits for ever.
    @Test func aBrowserReadsTwentyStreamsAtOnce() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let made = try await server.curl("--json", #"{"name":"x"}"#, server.url("/applications"))
        let token = try #require(try JSONSerialization.jsonObject(with: Data(made.utf8)) as? [String: Any])["token"]
        let application = server.url("/applications/\(token ?? "")")
        for _ in 0..<20 { try await server.curl("--json", "{}", application + "/chats") }
        let browser = try Browser(["--ignore-certificate-errors"])
        let tab = try await BrowserTab(browser, server.url("/livez"))
        try await tab.value(
            """
            window.seen = {}
            for (let chat = 1; chat <= 20; chat++) {
                const source = new EventSource(`\(application)/chats/${chat}/stream?after=0`)
                source.addEventListener('message', event => { seen[chat] = JSON.parse(event.data).body })
            }
            """)
        for chat in 1...20 {
            try await server.curl("--json", #"{"body":"to \#(chat)"}"#, "\(application)/chats/\(chat)/messages")
        }
        try await tab.until("Object.keys(seen).length === 20 && seen[20] === 'to 20'")
        #expect(
            try await tab.value("performance.getEntriesByType('navigation')[0].nextHopProtocol") as? String == "h2")
        try await browser.quit()
    }
}
