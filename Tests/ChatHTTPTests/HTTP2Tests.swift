import TLS
import TestSupport
import Testing

@testable import ChatHTTP

/// Requests over HTTP/2 are answered as over HTTP/1.1.
@Suite(.timeLimit(.minutes(3))) struct HTTP2Tests {
    /// Runs a script against a server of its own; it must print "ok".
    static func run(
        _ script: String, _ options: HTTPOptions = TestServer.options
    ) async throws {
        let folder = try TemporaryFolder()
        try await HTTP2Script.makeCertificate(in: folder)
        var options = options
        options.certificate = TLSCertificate(
            try TLSServerContext(certificate: folder.file("cert.pem"), key: folder.file("key.pem")))
        try await TestServer.run(options: options) { server in
            #expect(try await HTTP2Script.run(script + "\nprint('ok')\n", port: server.client.port) == "ok")
            try await eventually("the connections are closed") { server.metric("luciq_http_connections") == 0 }
            #expect(server.metric("luciq_http_held_bytes") == 0)
            #expect(server.metric("luciq_streams") == 0)
        }
    }

    @Test func requestsOfEveryKind() async throws {
        try await Self.run(
            """
            chat = make_chat()
            peer = Peer()
            assert peer.ask('GET', '/livez')[2] == b'ok\\n'
            status, fields, body = peer.ask('POST', chat + '/messages', '{"body":"x"}', [('x-request-id', 'mine')])
            assert status == 201 and json.loads(body)['message_number'] == 1
            assert fields['location'] == chat + '/messages/1' and fields['x-request-id'] == 'mine'
            assert int(fields['content-length']) == len(body) and 'connection' not in fields
            status, fields, body = peer.ask('HEAD', chat + '/messages')
            assert status == 200 and int(fields['content-length']) > 0 and body == b''
            assert peer.ask('DELETE', '/livez')[0] == 405
            assert peer.ask('PATCH', chat.rsplit('/chats', 1)[0], '{"name":"y"}')[0] == 200
            assert peer.ask('GET', '/nothing')[0] == 404
            assert peer.ask('POST', chat + '/messages', '{')[0] == 400
            # Parts of cookies, and a field that comes twice.
            assert peer.ask('GET', '/livez', more=[('cookie', 'a=1'), ('cookie', 'b=2'), ('x-some', '1'), ('x-some', '2')])[0] == 200
            # A body in pieces, without a length, and with a trailer.
            stream = peer.start('POST', chat + '/messages', [('content-type', 'application/json')], end=False)
            for byte in b'{"body":"slow"}':
                peer.send(stream, bytes([byte]), end=False)
            peer.h2.send_headers(stream, [('x-sum', '1')], end_stream=True)
            peer.flush()
            assert peer.answer(stream)[0] == 201
            # A body after a 100.
            body = json.dumps({'body': 'x' * 60000})
            stream = peer.start('POST', chat + '/messages', [('content-type', 'application/json'),
                ('content-length', str(len(body))), ('expect', '100-continue')], end=False)
            assert dict(peer.next(h2.events.InformationalResponseReceived, stream=stream).headers)[':status'] == '100'
            peer.send(stream, body.encode())
            assert peer.answer(stream)[0] == 201
            # A body that is not wanted is dropped.
            stream = peer.start('GET', '/livez', [('content-length', '5')], end=False)
            assert peer.answer(stream)[0] == 200
            peer.send(stream, b'hello')
            # Many at once, and large answers.
            for index in range(60):
                assert peer.ask('POST', chat + '/messages', body)[0] == 201
            streams = [peer.start('GET', f'{chat}/messages/{1 + index % 2}') for index in range(90)]
            for index, stream in reversed(list(enumerate(streams))):
                assert json.loads(peer.answer(stream)[2])['message_number'] == 1 + index % 2
            streams = [peer.start('GET', chat + '/messages') for _ in range(10)]
            assert all(len(peer.answer(stream)[2]) > 1000000 for stream in streams)
            # What is not a WebSocket, and cannot become one.
            status, fields, body = peer.ask('GET', chat.rsplit('/chats', 1)[0] + '/socket')
            assert status == 426 and 'upgrade' not in fields and b'HTTP/1.1' in body
            assert SettingCodes.ENABLE_CONNECT_PROTOCOL not in peer.h2.remote_settings or \\
                not peer.h2.remote_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]
            assert peer.h2.remote_settings.max_concurrent_streams == 100
            assert not any(isinstance(event, h2.events.ConnectionTerminated) for event in peer.events)
            """)
    }

    /// Limits and errors, with the status or the code of the reset.
    @Test func refusedRequests() async throws {
        var options = TestServer.options
        options.corsOrigin = "https://pages.example"
        try await Self.run(
            """
            chat = make_chat()
            peer = Peer()
            def ask(fields, end=True):
                stream = peer.h2.get_next_available_stream_id()
                peer.h2.send_headers(stream, fields, end_stream=end)
                peer.flush()
                status, more, body = peer.answer(stream)
                return (status, more) if status == 'reset' else (status, json.loads(body)['code'] if body and status != 200 else None)

            protocol_error = ('reset', ErrorCodes.PROTOCOL_ERROR)
            get = [(':method', 'GET'), (':scheme', 'https'), (':path', '/livez')]
            local = [(':authority', 'localhost')]
            cases = [
                (get + local, (200, None)),
                (get + [('host', 'localhost')], (200, None)),
                (get + local + [('host', 'localhost')], (200, None)),
                (get + local + [('host', 'LOCALHOST')], (200, None)),
                (get + local + [('host', 'other')], (400, 'malformed_request')),
                (get + local + [('host', 'localhost'), ('host', 'localhost')], (400, 'malformed_request')),
                (get + [(':authority', 'user@localhost')], (400, 'malformed_request')),
                (get, (400, 'malformed_request')),
                (get + [(':authority', 'evil.example')], (421, 'host_not_allowed')),
                ([(':method', 'NONSENSE'), *get[1:], *local], (400, 'malformed_request')),
                ([(':method', 'get'), *get[1:], *local], (400, 'malformed_request')),
                ([(':method', 'CONNECT'), (':authority', 'localhost:80')], (404, 'not_found')),
                ([*get[:2], (':path', '/' + 'x' * 9000), *local], (414, 'uri_too_long')),
                ([*get, *local, ('x-long', 'x' * 17000)], (431, 'headers_too_large')),
                ([*get, *local] + [(f'x-{index}', '') for index in range(1001)], (431, 'headers_too_large')),
                ([(':method', 'POST'), (':scheme', 'https'), (':path', chat + '/messages'), *local,
                    ('content-type', 'application/x-www-form-urlencoded'), ('origin', 'https://evil.example')],
                    (403, 'origin_not_allowed')),
                # Malformed (RFC 9113, 8.1.1).
                (get + local + [('connection', 'close')], protocol_error),
                (get + local + [('upgrade', 'websocket')], protocol_error),
                (get + local + [('transfer-encoding', 'chunked')], protocol_error),
                (get + local + [('te', 'gzip')], protocol_error),
                (get + local + [('X-Upper', '1')], protocol_error),
                (get + local + [('x-some', ' padded')], protocol_error),
                (get + local + [('x-some', 'a\\rb')], protocol_error),
                (get + local + [('x-some', 'a\\x01b')], protocol_error),
                (get + local + [(':path', '/livez')], protocol_error),
                (get + local + [('content-length', '5')], protocol_error),
                (get[:2] + local, protocol_error),
                ([*get[:2], (':path', 'livez'), *local], protocol_error),
                ([*get[:2], (':path', '/li vez'), *local], protocol_error),
                ([*get[:2], (':path', '*'), *local], protocol_error),
                ([(':method', 'CONNECT'), (':scheme', 'https'), (':path', chat), (':protocol', 'websocket'), *local],
                    protocol_error),
            ]
            for fields, wanted in cases:
                found = ask(fields)
                assert found == wanted, (fields[:6], found, wanted)

            # Bodies: too long, by what is announced and by what comes; longer and shorter than announced.
            post = [(':method', 'POST'), (':scheme', 'https'), (':path', chat + '/messages'), *local,
                ('content-type', 'application/json')]
            assert ask(post + [('content-length', '300000')], False) == (413, 'body_too_large')
            def send(fields, *pieces):
                stream = peer.h2.get_next_available_stream_id()
                peer.h2.send_headers(stream, fields)
                try:
                    for piece in pieces[:-1]:
                        peer.send(stream, piece, end=False)
                    peer.send(stream, pieces[-1])
                except h2.exceptions.ProtocolError:
                    pass  # It has ended: more is not wanted.
                return peer.answer(stream)[:2]
            assert send(post, *[b'x' * 16000] * 20)[0] == 413
            assert send(post + [('content-length', '5')], b'{"body":"x"}') == protocol_error
            assert send(post + [('content-length', '50')], b'{"body":"x"}') == protocol_error
            assert send(post + [('content-length', '12')], b'{"body":"x"}')[0] == 201
            for trailer in (':path', '/'), ('content-length', '1'), ('connection', 'x'), ('x-long', 'x' * 17000):
                stream = peer.h2.get_next_available_stream_id()
                peer.h2.send_headers(stream, post)
                peer.h2.send_data(stream, b'{"body":"x"}')
                peer.h2.send_headers(stream, [trailer], end_stream=True)
                peer.flush()
                assert peer.answer(stream)[:2] == protocol_error, trailer

            # Pages of other origins.
            status, fields, _ = peer.ask('GET', '/livez', more=[('origin', 'https://pages.example')])
            assert fields['access-control-allow-origin'] == 'https://pages.example' and fields['vary'] == 'Origin'
            status, fields, _ = peer.ask('OPTIONS', chat, more=[('origin', 'https://pages.example')])
            assert status == 204 and 'GET' in fields['access-control-allow-methods'] and 'content-length' not in fields
            # The connection has outlived all of this.
            assert peer.ask('GET', '/livez')[0] == 200
            """, options)
    }

    /// Streams of events beside requests: what one client does not read delays no other stream.
    @Test func streams() async throws {
        var options = TestServer.options
        options.connections.write = .seconds(1)
        options.live.comment = .milliseconds(200)
        try await Self.run(
            """
            chat = make_chat()
            # No stream has a window before it asks for one.
            peer = Peer({SettingCodes.INITIAL_WINDOW_SIZE: 0})
            streams = [peer.start('GET', chat + '/stream?after=0') for _ in range(30)]
            for stream in streams:
                event = peer.next(h2.events.ResponseReceived, stream=stream)
                assert dict(event.headers)[':status'] == '200'
                assert dict(event.headers)['content-type'] == 'text/event-stream'
            read, stuck, gone = streams[:20], streams[20:25], streams[25:]
            for stream in read:
                peer.h2.increment_flow_control_window(1 << 20, stream)
            for stream in gone:
                peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
            for number in range(1, 4):
                stream = peer.start('POST', chat + '/messages', [('content-type', 'application/json')], end=False)
                peer.h2.increment_flow_control_window(1 << 20, stream)
                peer.send(stream, b'{"body":"x"}')
                assert peer.answer(stream)[0] == 201
            # Those that read none of it end alone.
            for stream in stuck:
                event = peer.next(h2.events.StreamReset, stream=stream)
                assert event.error_code == ErrorCodes.CANCEL
            for stream in read:
                assert b'"number":1' in peer.data(stream, b'id: 3\\n')
            # A stream must have no body.
            stream = peer.start('GET', chat + '/stream', end=False)
            assert dict(peer.next(h2.events.ResponseReceived, stream=stream).headers)[':status'] == '422'
            """, options)
    }
}
