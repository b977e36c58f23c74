import Foundation
import TestSupport
import Testing

/// HTTPS as clients in use speak it.
@Suite(.timeLimit(.minutes(3))) struct TLSServeTests {
    @Test func versionsCiphersAndProtocols() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        #expect(try await server.curl("--tls-max", "1.2", server.url("/livez")) == "ok")
        #expect(try await server.curl("--tlsv1.3", server.url("/livez")) == "ok")
        let version = try await server.openssl("-tls1_2")
        #expect(version.contains("Cipher is ECDHE-"))
        #expect(version.contains("Secure Renegotiation IS supported"))
        #expect(version.contains("Compression: NONE"))
        #expect(version.contains("No ALPN negotiated"))
        #expect(try await server.openssl("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0").contains("alert protocol version"))
        // Without forward secrecy.
        #expect(try await server.openssl("-tls1_2", "-cipher", "AES128-GCM-SHA256").contains("alert handshake failure"))
        // The server asks for another ClientHello, with a key for a group that it supports.
        let second = try await server.openssl("-tls1_3", "-groups", "ffdhe2048:P-256")
        #expect(second.contains("Server Temp Key: ECDH, prime256v1"))
        #expect(try await server.openssl("-tls1_3", "-groups", "ffdhe2048").contains("alert handshake failure"))
        #expect(try await server.openssl("-alpn", "h3,http/1.1").contains("ALPN protocol: http/1.1"))
        #expect(try await server.openssl("-alpn", "http/1.1,h2").contains("ALPN protocol: h2"))
        #expect(try await server.openssl("-alpn", "h3").contains("alert no application protocol"))
        let counted = try await server.metric(#"luciq_http_connections_refused_total{code="tls_failed"}"#)
        #expect(counted == 4)
        #expect(!server.process.errorText.contains("\"level\":\"error\""))
        // Its URL says how to reach it.
        #expect(server.process.errorText.contains("\"url\":\"https://127.0.0.1:"))
    }

    /// An abbreviated handshake, by a ticket.
    @Test(arguments: ["-tls1_2", "-tls1_3"]) func sessionsResume(_ version: String) async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let session = server.folder.file("session")
        // TLS 1.3 sends its tickets after the handshake: wait for an answer.
        let request = #"printf 'GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'"#
        func run(_ option: String) async throws -> String {
            try await runProgram([
                "sh", "-c",
                "\(request) | timeout 10 openssl s_client -ign_eof -connect localhost:\(server.port) \(version) \(option) 2>&1",
            ])
        }
        #expect(try await run("-sess_out '\(session)'").contains("New, TLS"))
        let again = try await run("-sess_in '\(session)'")
        #expect(again.contains("Reused, TLS"))
        #expect(again.contains("200 OK"))
    }

    @Test func plainHTTPIsToldSo() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let answer = try await Client(port: server.port).get("/livez")
        #expect(answer.status == 400)
        #expect(answer.json["code"] as? String == "https_required")
        #expect(answer["Connection"] == "close")
        // Neither HTTP nor TLS: an orderly end.
        let other = try RawConnection(port: server.port)
        await other.send([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        _ = try await other.receiveAll()
        #expect(try await server.curl(server.url("/livez")) == "ok")
    }

    @Test func requestsOfEveryKind() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            chat = make_chat()
            peer = connect()
            file = peer.makefile('rb')
            peer.sendall(request('HEAD', chat + '/messages'))
            assert answer(file, True)[0] == 200
            # A body after a 100.
            body = json.dumps({'body': 'x' * 60000})
            peer.sendall(request('POST', chat + '/messages', body, 'Expect: 100-continue\\r\\n')[:-len(body)])
            assert file.readline().split()[1] == b'100' and file.readline() == b'\\r\\n'
            peer.sendall(body.encode())
            assert answer(file)[0] == 201
            # A body byte by byte, in a record each.
            for byte in request('POST', chat + '/messages', '{"body":"slow"}'):
                peer.sendall(bytes([byte]))
            assert answer(file)[0] == 201
            # Pipelined, in one record; the answers come in order.
            peer.sendall(b''.join(request('GET', f'{chat}/messages/{1 + index % 2}') for index in range(200)))
            for index in range(200):
                assert json.loads(answer(file)[2])['message_number'] == 1 + index % 2
            # Large answers: 60 messages of 60,000 bytes.
            for index in range(60):
                peer.sendall(request('POST', chat + '/messages', body))
                assert answer(file)[0] == 201
            total, path = 0, chat + '/messages'
            while path:
                peer.sendall(request('GET', path))
                status, head, text = answer(file)
                total += len(text)
                link = [line for line in head if line.startswith('Link:') and 'rel="next"' in line]
                path = re.search('<([^>]*)>', link[0]).group(1) if link else None
            assert total > 60 * 60000, total
            # The last answer: the server closes with a close_notify.
            peer.sendall(request('GET', chat, None, 'Connection: close\\r\\n'))
            assert answer(file)[0] == 200
            assert file.read() == b''
            print('ok')
            """)
        #expect(output == "ok")
    }

    /// A client that says that it sends no more, by a close_notify, still gets its answers.
    @Test func aHalfClosedConnectionIsAnswered() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            plain = socket.create_connection(('127.0.0.1', port), 20)
            received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
            peer = context().wrap_bio(received, sent)

            def send():
                if (data := sent.read()):
                    plain.sendall(data)

            def step(action):
                while True:
                    try:
                        result = action()
                        send()
                        return result
                    except ssl.SSLWantReadError:
                        send()
                        data = plain.recv(65536)
                        if not data:
                            received.write_eof()
                        received.write(data)

            step(peer.do_handshake)
            peer.write(request('GET', '/livez') * 3)
            try:
                peer.unwrap()
            except ssl.SSLWantReadError:
                pass
            send()
            plain.shutdown(socket.SHUT_WR)
            text = b''
            try:
                while (more := step(lambda: peer.read(65536))):
                    text += more
            except ssl.SSLZeroReturnError:
                pass
            assert text.count(b'200 OK') == 3, text
            print('ok')
            """)
        #expect(output == "ok")
    }

    @Test func streamsAndSockets() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let output = try await server.python(
            """
            chat = make_chat()
            stream = connect()
            stream.sendall(request('GET', chat + '/stream?after=0'))
            events = stream.makefile('rb')
            assert b'200' in events.readline()

            web = connect()
            web.sendall(request('GET', chat.rsplit('/chats', 1)[0] + '/socket', None,
                'Connection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\n'
                'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n'))
            frames = web.makefile('rb')
            assert b'101' in frames.readline()
            while frames.readline().strip():
                pass

            def send(text):
                text = text.encode()
                head = struct.pack('!BB', 0x81, 0x80 | len(text)) if len(text) < 126 else \\
                    struct.pack('!BBH', 0x81, 0xFE, len(text))
                web.sendall(head + b'\\0\\0\\0\\0' + text)

            def receive():
                length = frames.read(2)[1]
                if length == 126:
                    length = struct.unpack('!H', frames.read(2))[0]
                return json.loads(frames.read(length))

            send('{"type":"subscribe","chat":1,"after":"0"}')
            assert receive()['type'] == 'subscribed'
            for number in range(1, 101):
                send(json.dumps({'type': 'send', 'chat': 1, 'ref': str(number), 'body': 'é' * 50}))
            seen, sent = [], 0
            while len(seen) < 100 or sent < 100:
                event = receive()
                if event['type'] == 'message':
                    seen.append(event['message']['number'])
                sent += event['type'] == 'sent'
            assert seen == list(range(1, 101))
            numbers = []
            while len(numbers) < 100:
                line = events.readline()
                if line.startswith(b'data: {"number"'):
                    numbers.append(json.loads(line[6:])['number'])
            assert numbers == seen
            os.kill(\(server.process.pid), signal.SIGTERM)
            rest = events.read()
            assert b'going_away' in rest, rest
            print('ok')
            """)
        #expect(output == "ok")
        #expect(await server.process.wait().code == 0)
    }

    @Test(arguments: [
        (["TLS_CERT": "cert.pem"], "TLS_KEY must be set too where TLS_CERT is."),
        (["TLS_KEY": "key.pem"], "TLS_CERT must be set too where TLS_KEY is."),
        (
            ["TLS_CERT": "none.pem", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in none.pem: No such file or directory."
        ),
        (
            ["TLS_CERT": "cert.pem", "TLS_KEY": "none.pem"],
            "Cannot read the key in none.pem: No such file or directory."
        ),
        (
            ["TLS_CERT": "/dev/zero", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in /dev/zero: it is not a file."
        ),
        (
            ["TLS_CERT": "text", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in text: it must hold a certificate in PEM."
        ),
        (
            ["TLS_CERT": "key.pem", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in key.pem: it must hold a certificate in PEM."
        ),
        (
            ["TLS_CERT": "cut.pem", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in cut.pem: a certificate in it is damaged."
        ),
        (
            ["TLS_CERT": "large", "TLS_KEY": "key.pem"],
            "Cannot read the certificate in large: it is larger than 1024 KiB."
        ),
        (
            ["TLS_CERT": "cert.pem", "TLS_KEY": "cert.pem"],
            "Cannot read the key in cert.pem: it must hold a private key in PEM."
        ),
        (
            ["TLS_CERT": "cert.pem", "TLS_KEY": "encrypted.pem"],
            "Cannot read the key in encrypted.pem: it is encrypted with a passphrase; store it without one."
        ),
        (
            ["TLS_CERT": "cert.pem", "TLS_KEY": "other.key"],
            "The key in other.key belongs to another certificate than the one in cert.pem."
        ),
        (["TLS_CERT": "weak.pem", "TLS_KEY": "weak.key"], "Cannot use the certificate in weak.pem: ee key too small."),
    ])
    func unusableFilesAreOneSentence(_ environment: [String: String], _ sentence: String) async throws {
        let folder = try TemporaryFolder()
        try await TLSServer.makePair(in: folder, serial: 1)
        try await TLSServer.makePair(in: folder, serial: 2, certificate: "other.pem", key: "other.key")
        try await runProgram([
            "sh", "-c",
            """
            cd '\(folder.path)' && echo text >text && head -c 200 cert.pem >cut.pem && head -c 1048577 /dev/zero >large &&
            openssl pkcs8 -topk8 -in key.pem -out encrypted.pem -passout pass:secret &&
            openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.pem -subj /CN=weak 2>/dev/null
            """,
        ])
        let result = try await LuciqProcess.run(["serve", "--port", "0"], in: folder, environment: environment)
        #expect(result.code == 78)
        #expect(result.errors == "luciq: \(sentence)\n")
    }
}
