import Foundation
import TestSupport
import Testing

/// A certificate that is renewed while the server runs.
@Suite(.timeLimit(.minutes(3))) struct TLSReloadTests {
    /// Requests on new connections and on old ones, until `end`; prints how many there were and how many failed.
    private static let load = """
        counts = {'new': 0, 'old': 0, 'failed': 0}
        stop = threading.Event()

        def ask_anew():
            while not stop.is_set():
                try:
                    with connect() as peer:
                        peer.sendall(request('GET', '/livez'))
                        assert answer(peer.makefile('rb'))[0] == 200
                    counts['new'] += 1
                except Exception as error:
                    print(error, file=sys.stderr)
                    counts['failed'] += 1

        def ask_again():
            try:
                peer = connect()
                file = peer.makefile('rb')
                while not stop.is_set():
                    peer.sendall(request('GET', '/livez'))
                    assert answer(file)[0] == 200
                    counts['old'] += 1
            except Exception as error:
                print(error, file=sys.stderr)
                counts['failed'] += 1

        threads = [threading.Thread(target=what) for what in (ask_anew, ask_anew, ask_again)]
        for thread in threads:
            thread.start()
        while not os.path.exists(end):
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert counts['new'] > 20 and counts['old'] > 20, counts
        print('failed', counts['failed'])
        """

    @Test func renewedUnderLoadWithoutAFailedRequest() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let end = server.folder.file("end")
        async let load = server.python("end = '\(end)'\n" + Self.load)
        for serial in 2...6 {
            // Each pair has a key of its own. The files change one after the other, as certbot's copies do.
            try await TLSServer.makePair(in: server.folder, serial: serial, certificate: "new.pem", key: "new.key")
            try move("new.pem", to: "cert.pem", in: server.folder)
            try move("new.key", to: "key.pem", in: server.folder)
            if serial.isMultiple(of: 2) { server.process.signal(SIGHUP) }
            try await eventually("it shows the new certificate") { try await server.serial() == serial }
        }
        try "".write(toFile: end, atomically: true, encoding: .utf8)
        #expect(try await load == "failed 0")
        #expect(!server.process.errorText.contains("not loaded"))
        #expect(try await server.metric("luciq_tls_reload_failed") == 0)
    }

    /// SIGHUP reads the files without their change, and says so.
    @Test func aSignalReloads() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        #expect(!server.process.errorText.contains("TLS certificate loaded"))
        server.process.signal(SIGHUP)
        try await eventually("it says so") {
            server.process.errorText.contains("\"message\":\"TLS certificate loaded\"")
        }
        #expect(!server.process.errorText.contains("Signal ignored"))
        // Asked for, a failure is said each time, and at once.
        try "text".write(toFile: server.certificate, atomically: true, encoding: .utf8)
        for count in 1...2 {
            server.process.signal(SIGHUP)
            try await eventually("it says so") {
                server.process.errorText.matches(of: /TLS certificate not loaded/).count >= count
            }
        }
        #expect(try await server.serial() == 1)
    }

    @Test func aBrokenPairIsSaidOnceAndTheLastGoodOneStays() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let trusted = server.folder.file("trusted.pem")
        try FileManager.default.copyItem(atPath: server.certificate, toPath: trusted)
        func isFailing() async throws -> Bool {
            let text = try await runProgram(["curl", "-sS", "--cacert", trusted, server.url("/metrics")])
            return text.contains("luciq_tls_reload_failed 1\n")
        }
        try await TLSServer.makePair(in: server.folder, serial: 2, certificate: "new.pem", key: "new.key")
        // The certificate of another key.
        try move("new.pem", to: "cert.pem", in: server.folder)
        try await eventually("it is in the metrics") { try await isFailing() }
        #expect(try await server.serial() == 1)
        let lines = server.process.errorText.matches(of: /TLS certificate not loaded[^\n]*/)
        #expect(lines.count == 1)
        #expect(lines.first?.0.contains("belongs to another certificate") == true)
        // Two more looks say nothing: the next failure has another reason, and comes after them.
        try "text".write(toFile: server.folder.file("key.pem"), atomically: true, encoding: .utf8)
        try await eventually("the other reason is said") {
            server.process.errorText.contains("it must hold a private key in PEM")
        }
        #expect(server.process.errorText.matches(of: /TLS certificate not loaded/).count == 2)
        #expect(try await server.serial() == 1)
        // Its key comes late.
        try move("new.key", to: "key.pem", in: server.folder)
        try await eventually("it shows the new certificate") { try await server.serial() == 2 }
        #expect(try await server.metric("luciq_tls_reload_failed") == 0)
    }

    /// Kubernetes swaps one link for all files of a secret.
    @Test func aLinkThatLeadsElsewhere() async throws {
        let folder = try TemporaryFolder()
        let files = FileManager.default
        for (name, serial) in [("old", 1), ("new", 2)] {
            try files.createDirectory(atPath: folder.file(name), withIntermediateDirectories: false)
            try await TLSServer.makePair(
                in: folder, serial: serial, certificate: name + "/cert.pem", key: name + "/key.pem")
        }
        try files.createSymbolicLink(atPath: folder.file("data"), withDestinationPath: "old")
        for name in ["cert.pem", "key.pem"] {
            try files.createSymbolicLink(atPath: folder.file(name), withDestinationPath: "data/" + name)
        }
        let server = try await TLSServer.start(in: folder)
        defer { server.process.signal(SIGKILL) }
        #expect(try await server.serial() == 1)
        try files.createSymbolicLink(atPath: folder.file("next"), withDestinationPath: "new")
        try move("next", to: "data", in: folder)
        try await eventually("it shows the new certificate") { try await server.serial() == 2 }
    }

    @Test func streamsGoOnAcrossAReload() async throws {
        let server = try await TLSServer.start()
        defer { server.process.signal(SIGKILL) }
        let reloaded = server.folder.file("reloaded")
        async let output = server.python(
            """
            chat = make_chat()
            stream = connect()
            stream.sendall(request('GET', chat + '/stream?after=0'))
            events = stream.makefile('rb')
            writer = connect()
            file = writer.makefile('rb')

            def post(number):
                writer.sendall(request('POST', chat + '/messages', '{"body":"x"}'))
                assert answer(file)[0] == 201
                while not events.readline().startswith(b'id: %d\\n' % number):
                    pass

            post(1)
            open('\(server.folder.file("ready"))', 'w').close()
            while not os.path.exists('\(reloaded)'):
                time.sleep(0.02)
            post(2)
            print('ok')
            """)
        try await eventually("the stream is open") {
            FileManager.default.fileExists(atPath: server.folder.file("ready"))
        }
        try await TLSServer.makePair(in: server.folder, serial: 2)
        try await eventually("it shows the new certificate") { try await server.serial() == 2 }
        try "".write(toFile: reloaded, atomically: true, encoding: .utf8)
        #expect(try await output == "ok")
    }

    /// It is used all the same: a refusal would help nobody.
    @Test func anExpiredCertificateIsWarnedAbout() async throws {
        let folder = try TemporaryFolder()
        try await TLSServer.makePair(in: folder, serial: 1, days: -1)
        let server = try await TLSServer.start(in: folder)
        defer { server.process.signal(SIGKILL) }
        try await eventually("it says so") {
            server.process.errorText.contains("\"message\":\"TLS certificate expired\"")
        }
        let text = try await runProgram(["curl", "-sSk", server.url("/metrics")])
        let left = text.firstMatch(of: /\nluciq_tls_certificate_remaining_seconds (-?[0-9.]+)\n/)
        #expect(left.flatMap { Double($0.1) }.map { $0 < 0 && $0 > -200_000 } == true)
        try await TLSServer.makePair(in: folder, serial: 2)
        try await eventually("it shows the new certificate") { try await server.serial() == 2 }
        #expect(server.process.errorText.matches(of: /TLS certificate expired/).count == 1)
        let now = try await server.metric("luciq_tls_certificate_remaining_seconds")
        #expect(now.map { (170_000...172_800).contains($0) } == true)
    }

    private func move(_ name: String, to other: String, in folder: TemporaryFolder) throws {
        #expect(rename(folder.file(name), folder.file(other)) == 0)
    }
}
