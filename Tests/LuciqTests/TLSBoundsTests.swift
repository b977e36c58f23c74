import Foundation
import TestSupport
import Testing

/// What one client may hold or cause over HTTPS.
@Suite(.timeLimit(.minutes(3))) struct TLSBoundsTests {
    /// Backpressure: what a client does not read is not read from it either, and is all there once it does.
    @Test func aClientThatDoesNotRead() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            chat = make_chat()
            other = connect()
            file = other.makefile('rb')
            body = json.dumps({'body': 'x' * 60000})
            for index in range(2):
                other.sendall(request('POST', chat + '/messages', body))
                assert answer(file)[0] == 201
            peer = connect()
            wanted = 4000
            sender = threading.Thread(target=lambda: peer.sendall(request('GET', chat + '/messages/1') * wanted))
            sender.start()

            def answered():
                other.sendall(request('GET', '/metrics'))
                text = answer(file)[2].decode()
                return sum(int(float(line.split()[-1])) for line in text.splitlines()
                    if line.startswith('luciq_http_request_duration_seconds_count')
                        and '/messages/{message_number}"' in line)

            # The count stands still long before the end.
            last, still = -1, 0
            while still < 20:
                count = answered()
                still = still + 1 if count == last and count > 0 else 0
                last = count
                time.sleep(0.02)
            assert last < wanted / 4, last
            read = peer.makefile('rb')
            for index in range(wanted):
                status, _, text = answer(read)
                assert status == 200 and len(text) > 60000
            sender.join()
            print('ok')
            """)
        #expect(output == "ok")
    }

    /// Slow and silent clients, with a handshake or without.
    @Test func aHandshakeHasTheTimeOfAnIdleConnection() async throws {
        let server = try await TLSServer.start(["IDLE_TIMEOUT": "2"])
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            # Byte by byte, in time.
            plain = socket.create_connection(('127.0.0.1', port), 20)
            received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
            peer = context().wrap_bio(received, sent)
            while True:
                try:
                    peer.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    for byte in sent.read():
                        plain.sendall(bytes([byte]))
                    received.write(plain.recv(65536))
            peer.write(request('GET', '/livez'))
            plain.sendall(sent.read())
            while True:
                try:
                    text = peer.read(65536)
                    break
                except ssl.SSLWantReadError:
                    received.write(plain.recv(65536))
            assert b'200 OK' in text

            # Nothing, half a ClientHello, and a ClientHello alone: all are closed.
            peer = context().wrap_bio(ssl.MemoryBIO(), hello := ssl.MemoryBIO())
            try:
                peer.do_handshake()
            except ssl.SSLWantReadError:
                pass
            hello = hello.read()
            began = time.monotonic()
            for part in (b'', hello[:50], hello):
                plain = socket.create_connection(('127.0.0.1', port), 20)
                plain.sendall(part)
                while plain.recv(65536):
                    pass
            print('ok')
            """)
        #expect(output == "ok")
        let late = try await server.metric(#"luciq_http_connections_refused_total{code="timed_out"}"#)
        #expect(late == 3)
    }

    @Test func killedClientsAndEndlessHandshakes() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            chat = make_chat()
            with connect() as peer:
                file = peer.makefile('rb')
                for index in range(20):
                    peer.sendall(request('POST', chat + '/messages', json.dumps({'body': 'x' * 60000})))
                    assert answer(file)[0] == 201
            # Children die amid the handshake, a download, and a stream.
            for what in ('hello', 'download', 'stream') * 5:
                child = os.fork()
                if child == 0:
                    if what == 'hello':
                        plain = socket.create_connection(('127.0.0.1', port), 20)
                        peer = context().wrap_bio(ssl.MemoryBIO(), hello := ssl.MemoryBIO())
                        try:
                            peer.do_handshake()
                        except ssl.SSLWantReadError:
                            plain.sendall(hello.read())
                    elif what == 'download':
                        peer = connect()
                        peer.sendall(request('GET', chat + '/messages') * 50)
                        peer.recv(100)
                    else:
                        peer = connect()
                        peer.sendall(request('GET', chat + '/stream?after=0'))
                        peer.recv(100)
                    os.kill(os.getpid(), signal.SIGKILL)
                os.waitpid(child, 0)
            # A ClientHello that announces 64 KiB, and one that is cut into warnings and empty records without end.
            for endless in (b'\\x16\\x03\\x01\\0\\x04\\x01\\x00\\xff\\xff', b'\\x16\\x03\\x01\\0\\0' * 20000):
                plain = socket.create_connection(('127.0.0.1', port), 20)
                try:
                    plain.sendall(endless)
                    while plain.recv(65536):
                        pass
                except OSError:
                    pass
            print('ok')
            """)
        #expect(output == "ok")
        // None is left but the one that asks.
        try await eventually("the connections are closed") { try await server.metric("luciq_http_connections") == 1 }
        #expect(!server.process.errorText.contains("\"level\":\"error\""))
    }

    /// Key updates ask for an answer each. Whoever reads none of them does not fill the server's memory.
    @Test func keyUpdatesWithoutEnd() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        // `K` makes s_client update its key and ask for the server's.
        let output = try await runProgram(
            [
                "sh", "-c",
                """
                (for i in $(seq 50); do echo K; done; printf 'GET /livez HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n') |
                    openssl s_client -connect localhost:\(server.port) -tls1_3 -crlf 2>&1 -no_ign_eof; true
                """,
            ])
        #expect(output.contains("KEYUPDATE"))
        #expect(try await server.curl(server.url("/livez")) == "ok")
    }
}
