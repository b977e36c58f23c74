import Foundation

/// A client of HTTP/2 that is not ours: Python's `h2`, for scripts that may also send what no client should.
package enum HTTP2Script {
    /// A certificate that signs itself, for `localhost`: `cert.pem` and `key.pem`.
    package static func makeCertificate(in folder: TemporaryFolder) async throws {
        try await runProgram([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-keyout", folder.file("key.pem"), "-out", folder.file("cert.pem"), "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
    }

    /// Runs a script that has `Peer`, `metric(…)`, `until(…)` and `make_chat()`.
    ///
    /// - Returns: what it prints.
    package static func run(_ script: String, port: Int, within seconds: Double = 60) async throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let python = root + "/.build/python-http2/bin/python"
        guard FileManager.default.isExecutableFile(atPath: python) else {
            throw ServerFailure("Python's h2 is missing. Install it with: scripts/setup test")
        }
        let input = "port = \(port)\n" + prelude + script
        return try await runProgram(["env", python, "-"], input: input, within: seconds)
    }

    private static let prelude = """
        import json, os, signal, socket, ssl, struct, sys, threading, time
        import h2.config, h2.connection, h2.events, h2.exceptions
        from h2.errors import ErrorCodes
        from h2.settings import SettingCodes, Settings
        from hyperframe.frame import *


        class Peer:
            # A connection. What arrives waits in `events` until somebody asks for it.
            def __init__(self, settings=None, window=1 << 24, reads=True):
                plain = socket.create_connection(('127.0.0.1', port), 20)
                made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
                made.set_alpn_protocols(['h2'])
                self.socket = made.wrap_socket(plain, server_hostname='localhost')
                assert self.socket.selected_alpn_protocol() == 'h2'
                self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
                    header_encoding='utf-8', validate_outbound_headers=False, normalize_outbound_headers=False))
                self.events, self.closed, self.reads = [], False, reads
                self.h2.local_settings = Settings(initial_values=settings)
                self.h2.initiate_connection()
                if window:
                    self.h2.increment_flow_control_window(window)
                self.flush()

            def flush(self):
                if (data := self.h2.data_to_send()):
                    self.socket.sendall(data)

            def raw(self, *frames):
                self.flush()
                self.socket.sendall(b''.join(frame if type(frame) is bytes else frame.serialize() for frame in frames))

            def start(self, method, path, more=(), end=True, authority='localhost'):
                stream = self.h2.get_next_available_stream_id()
                self.h2.send_headers(stream, [(':method', method), (':scheme', 'https'), (':authority', authority),
                    (':path', path), *more], end_stream=end)
                self.flush()
                return stream

            def send(self, stream, data, end=True):
                while len(data) > 16384:
                    while self.h2.local_flow_control_window(stream) < 16384:
                        self.step()
                    self.h2.send_data(stream, data[:16384])
                    data = data[16384:]
                    self.flush()
                while self.h2.local_flow_control_window(stream) < len(data):
                    self.step()
                self.h2.send_data(stream, data, end_stream=end)
                self.flush()

            def step(self):
                try:
                    data = self.socket.recv(65536)
                except ConnectionError:
                    data = b''
                if not data:
                    self.closed = True
                    return
                for event in self.h2.receive_data(data):
                    if isinstance(event, h2.events.DataReceived) and self.reads:
                        try:
                            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        except h2.exceptions.ProtocolError:
                            pass  # The stream has ended.
                    self.events.append(event)
                try:
                    self.flush()
                except OSError:
                    pass

            def next(self, *kinds, stream=None):
                # None at the end of the connection.
                while True:
                    for index, event in enumerate(self.events):
                        if isinstance(event, kinds) and stream in (None, getattr(event, 'stream_id', None)):
                            return self.events.pop(index)
                    if self.closed:
                        return None
                    self.step()

            def answer(self, stream):
                # Status, fields and body; or 'reset' and the code.
                status, fields, body = None, {}, b''
                while True:
                    event = self.next(h2.events.ResponseReceived, h2.events.DataReceived, h2.events.StreamEnded,
                        h2.events.StreamReset, stream=stream)
                    if event is None:
                        return 'closed', {}, body
                    if isinstance(event, h2.events.ResponseReceived):
                        fields = dict(event.headers)
                        status = int(fields[':status'])
                    elif isinstance(event, h2.events.DataReceived):
                        body += event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        return status, fields, body
                    else:
                        return 'reset', event.error_code, body

            def ask(self, method, path, body=None, more=(), **options):
                if body is None:
                    return self.answer(self.start(method, path, more, **options))
                stream = self.start(method, path, [('content-type', 'application/json'),
                    ('content-length', str(len(body))), *more], end=False, **options)
                self.send(stream, body.encode())
                return self.answer(stream)

            def data(self, stream, wanted):
                # Reads a stream's data until `wanted` is in it.
                text = b''
                while wanted not in text:
                    event = self.next(h2.events.DataReceived, h2.events.StreamReset, h2.events.StreamEnded,
                        stream=stream)
                    assert isinstance(event, h2.events.DataReceived), (event, text)
                    text += event.data
                return text

            def end(self):
                # The error code of the last GOAWAY, after the connection has closed.
                code = None
                while (event := self.next(h2.events.ConnectionTerminated)):
                    code = event.error_code
                return code


        def metric(name):
            text = Peer().ask('GET', '/metrics')[2].decode()
            for line in text.splitlines():
                if line.startswith(name + ' '):
                    return float(line.split()[-1])
            return 0

        def until(what):
            end = time.monotonic() + 30
            while not what():
                assert time.monotonic() < end
                time.sleep(0.02)

        def make_chat():
            peer = Peer()
            token = json.loads(peer.ask('POST', '/applications', '{"name":"x"}')[2])['token']
            assert peer.ask('POST', f'/applications/{token}/chats', '{}')[0] == 201
            return f'/applications/{token}/chats/1'


        """
}
