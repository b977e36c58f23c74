import TestSupport
import Testing

@testable import ChatHTTP

/// What one client may hold or cause over HTTP/2.
@Suite(.timeLimit(.minutes(3))) struct HTTP2BoundsTests {
    /// Streams count as connections: of the address, and as streams of events.
    @Test func streamsHaveTheirSlots() async throws {
        var options = TestServer.options
        options.maxConnections = 32
        options.connectionsPerAddress = 20
        try await HTTP2Tests.run(
            """
            chat = make_chat()
            peer, other = Peer(), Peer()
            assert other.ask('GET', '/livez')[0] == 200
            streams = [peer.start('GET', chat + '/stream') for _ in range(25)]
            found = []
            for stream in streams:
                fields = dict(peer.next(h2.events.ResponseReceived, stream=stream).headers)
                found.append(fields[':status'])
            # The other connection made room.
            assert other.end() == ErrorCodes.NO_ERROR
            assert found == ['200'] * 20 + ['503'] * 5, found
            # Health is answered all the same; and what has ended makes room.
            assert peer.ask('GET', '/livez')[0] == 200
            assert peer.ask('GET', '/openapi.yaml')[0] == 503
            peer.h2.reset_stream(streams[0], ErrorCodes.CANCEL)
            peer.flush()
            until(lambda: peer.ask('GET', '/openapi.yaml')[0] == 200)
            """, options)
    }

    @Test func aSpareConnectionGetsOneAnswer() async throws {
        var options = TestServer.options
        options.maxConnections = 8
        options.connectionsPerAddress = 8
        try await HTTP2Tests.run(
            """
            chat = make_chat()
            # With one stream of events and requests that wait for their bodies, nothing idles.
            peer = Peer()
            streams = [peer.start('POST', chat + '/messages', end=False) for _ in range(10)]
            statuses = [peer.answer(stream)[0] for stream in streams[6:]]
            assert statuses == [503] * 4, statuses
            spare = Peer()
            assert spare.ask('GET', '/openapi.yaml')[0] == 503
            assert spare.end() == ErrorCodes.NO_ERROR
            spare = Peer()
            assert spare.ask('GET', '/livez')[0] == 200
            assert spare.end() == ErrorCodes.NO_ERROR
            """, options)
    }

    /// A head may have 16 KiB, as over HTTP/1.1. A longer one is refused and costs its stream alone, up to what is decoded at
    /// all.
    @Test func longHeads() async throws {
        try await HTTP2Tests.run(
            """
            peer = Peer()
            def head(size, count):
                return [(f'x-{index:03}', 'x' * (size // count)) for index in range(count)]
            for count in (1, 5, 100):
                found = peer.ask('GET', '/livez', more=head(15000, count))
                assert found[0] == 200, (count, found)
                for size in (17000, 30000, 45000, 58000):
                    status, _, body = peer.ask('GET', '/livez', more=head(size, count))
                    assert status == 431 and json.loads(body)['code'] == 'headers_too_large', (size, count, status)
            # It holds none of them, and the next request is answered.
            assert metric('luciq_http_held_bytes') == 0
            assert peer.ask('GET', '/livez')[0] == 200
            peer.start('GET', '/livez', head(66000, 66))
            assert peer.end() != ErrorCodes.NO_ERROR
            """)
    }

    /// The body's time-out ends one stream, that of a head and of an idle connection the whole connection.
    @Test func slowClients() async throws {
        var options = TestServer.options
        options.connections.body = .seconds(1)
        options.connections.idle = .seconds(2)
        try await HTTP2Tests.run(
            """
            chat = make_chat()
            peer = Peer()
            live = peer.start('GET', chat + '/stream')
            peer.data(live, b'\\n\\n')
            slow = peer.start('POST', chat + '/messages', end=False)
            peer.h2.send_data(slow, b'{')
            peer.flush()
            assert peer.answer(slow)[:2] == ('reset', ErrorCodes.CANCEL)
            assert peer.ask('GET', '/livez')[0] == 200
            # A head that never ends, beside a stream that goes on.
            peer.raw(HeadersFrame(peer.h2.get_next_available_stream_id(), peer.h2.encoder.encode([(':method', 'GET')])))
            assert peer.end() == ErrorCodes.ENHANCE_YOUR_CALM
            # Nothing at all, half a preface, and nothing after a request.
            idle, asked = Peer(), Peer()
            assert asked.ask('GET', '/livez')[0] == 200
            assert idle.end() == ErrorCodes.NO_ERROR and asked.end() == ErrorCodes.NO_ERROR
            """, options)
    }

    /// A client that sends requests and reads no answer, with all windows open.
    @Test func aClientThatReadsNothing() async throws {
        var options = TestServer.options
        options.connections.write = .seconds(2)
        try await HTTP2Tests.run(
            """
            chat = make_chat()
            body = json.dumps({'body': 'x' * 60000})
            writer = Peer()
            for index in range(100):
                assert writer.ask('POST', chat + '/messages', body)[0] == 201
            peer = Peer({SettingCodes.INITIAL_WINDOW_SIZE: (1 << 31) - 1}, window=(1 << 31) - 1 - 65535)
            for _ in range(100):
                peer.start('GET', chat + '/messages')
            until(lambda: metric('luciq_http_held_bytes') > 1000000)
            until(lambda: metric('luciq_http_held_bytes') < 1000000)
            # Each is counted once.
            late = metric('luciq_http_connections_refused_total{code="timed_out"}')
            assert 1 <= late <= 101, late
            # No window: the streams end, and the connection stays.
            peer = Peer({SettingCodes.INITIAL_WINDOW_SIZE: 0})
            streams = [peer.start('GET', chat + '/messages/1') for _ in range(100)]
            assert all(peer.answer(stream)[:2] == ('reset', ErrorCodes.CANCEL) for stream in streams)
            stream = peer.start('HEAD', '/livez')
            assert peer.answer(stream)[0] == 200
            """, options)
    }

    /// Each of these ends its connection with a reason, and nobody else's.
    @Test(arguments: [
        (
            "resets",
            """
            for _ in range(300):
                stream = peer.start('GET', '/livez')
                peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
            """, "ENHANCE_YOUR_CALM"
        ),
        (
            "errors on streams",
            """
            for _ in range(300):
                peer.start('GET', '/livez', [('connection', 'close')])
            """, "ENHANCE_YOUR_CALM"
        ),
        ("pings", "peer.raw(*[PingFrame(0, b'12345678')] * 300)", "ENHANCE_YOUR_CALM"),
        ("settings", "peer.raw(*[SettingsFrame(0)] * 300)", "ENHANCE_YOUR_CALM"),
        (
            "settings in one frame",
            "peer.raw(*[SettingsFrame(0, settings={0x20 + index: 1 for index in range(600)})] * 3)",
            "ENHANCE_YOUR_CALM"
        ),
        (
            "empty data",
            """
            stream = peer.start('POST', '/applications', end=False)
            peer.raw(*[DataFrame(stream, b'')] * 10)
            """, "ENHANCE_YOUR_CALM"
        ),
        (
            "small openings of the window", "peer.raw(*[WindowUpdateFrame(0, 1)] * 1100)", "ENHANCE_YOUR_CALM"
        ),
        ("unknown frames", "peer.raw(b'\\0\\0\\0\\x77\\0\\0\\0\\0\\0' * 1100)", "ENHANCE_YOUR_CALM"),
        (
            "a head in many frames",
            """
            block = peer.h2.encoder.encode([(':method', 'GET')])
            peer.raw(HeadersFrame(1, block), *[ContinuationFrame(1, b'')] * 20)
            """, "ENHANCE_YOUR_CALM"
        ),
        (
            "a head that is long when it is decoded",
            """
            peer.start('GET', '/livez', [('x-long', 'x' * 4000)])
            peer.start('GET', '/livez', [('x-long', 'x' * 4000)] * 30)
            """, "COMPRESSION_ERROR"
        ),
        (
            "a head that is long when it is sent",
            "peer.start('GET', '/livez', [(f'x-{index}', 'x' * 16000) for index in range(6)])", "PROTOCOL_ERROR"
        ),
        (
            "too many streams",
            """
            for stream in range(1, 211, 2):
                block = peer.h2.encoder.encode([(':method', 'POST'), (':scheme', 'https'), (':authority', 'localhost'),
                    (':path', '/applications')])
                peer.raw(HeadersFrame(stream, block, flags=['END_HEADERS']))
            """, "PROTOCOL_ERROR"
        ),
        ("a window of nothing", "peer.raw(WindowUpdateFrame(0, 0))", "PROTOCOL_ERROR"),
        ("a window that is too large", "peer.raw(*[WindowUpdateFrame(0, (1 << 31) - 1)] * 2)", "FLOW_CONTROL_ERROR"),
        ("no HTTP/2", "peer.raw(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')", "ANY"),
    ])
    func floods(_ name: String, _ script: String, _ code: String) async throws {
        try await HTTP2Tests.run(
            """
            peer, other = Peer(), Peer()
            live = other.ask('GET', '/livez')
            try:
            \(script.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n"))
            except OSError:
                pass  # It is closed already.
            found = peer.end()
            assert '\(code)' == 'ANY' or found == ErrorCodes.\(code == "ANY" ? "NO_ERROR" : code), found
            assert other.ask('GET', '/livez')[0] == 200
            """)
    }
}
