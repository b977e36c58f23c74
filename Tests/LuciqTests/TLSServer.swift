import Foundation
import TestSupport
import Testing

/// The built executable with a certificate that `openssl` made, and clients that are not ours: curl, `openssl s_client`,
/// and Python's `ssl`.
struct TLSServer: Sendable {
    let folder: TemporaryFolder
    let process: LuciqProcess
    let port: Int

    var certificate: String { folder.file("cert.pem") }
    var key: String { folder.file("key.pem") }

    static func start(_ environment: [String: String] = [:]) async throws -> TLSServer {
        let folder = try TemporaryFolder()
        try await makePair(in: folder, serial: 1)
        return try await start(in: folder, environment)
    }

    /// - Parameter folder: has `cert.pem` and `key.pem`.
    static func start(in folder: TemporaryFolder, _ environment: [String: String] = [:]) async throws -> TLSServer {
        let settings = ["TLS_CERT": folder.file("cert.pem"), "TLS_KEY": folder.file("key.pem")]
        let (process, client) = try await LuciqProcess.serve(
            in: folder, environment: settings.merging(environment) { $1 })
        return TLSServer(folder: folder, process: process, port: client.port)
    }

    /// A certificate that signs itself, for `localhost` and 127.0.0.1, with a key of its own.
    ///
    /// - Parameter days: how long it is valid from now; negative for one that has expired.
    static func makePair(
        in folder: TemporaryFolder, serial: Int, certificate: String = "cert.pem", key: String = "key.pem",
        days: Int = 2
    ) async throws {
        let request = folder.file("request-\(serial)")
        try await runProgram([
            "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", folder.file(key), "-out", request, "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ])
        try await runProgram([
            "openssl", "x509", "-req", "-in", request, "-signkey", folder.file(key), "-copy_extensions", "copyall",
            "-set_serial", "\(serial)", "-days", "\(days)", "-out", folder.file(certificate),
        ])
    }

    /// Runs curl, which trusts only the server's own certificate.
    @discardableResult
    func curl(_ arguments: String...) async throws -> String {
        try await runProgram(["curl", "-sS", "--max-time", "20", "--cacert", certificate] + arguments)
    }

    func url(_ path: String) -> String { "https://localhost:\(port)\(path)" }

    /// What `openssl s_client` prints.
    func openssl(_ arguments: String...) async throws -> String {
        let options = arguments.joined(separator: " ")
        return try await runProgram([
            "sh", "-c",
            "timeout 10 openssl s_client -connect localhost:\(port) -CAfile '\(certificate)' \(options) 2>&1 </dev/null; true",
        ])
    }

    /// The serial number of the certificate that a new connection gets.
    func serial() async throws -> Int {
        let text = try await runProgram([
            "sh", "-c",
            "openssl s_client -connect localhost:\(port) </dev/null 2>/dev/null | openssl x509 -noout -serial",
        ])
        return try #require(text.split(separator: "=").last.flatMap { Int($0, radix: 16) })
    }

    /// Runs a script that has `port`, `cert`, `connect()`, `request(…)`, `answer(…)` and `make_chat()`.
    func python(_ script: String) async throws -> String {
        try await runProgram(
            ["python3", "-"], input: Self.prelude(port: port, certificate: certificate) + script, within: 60)
    }

    func metric(_ name: String) async throws -> Double? {
        let text = try await curl(url("/metrics"))
        return text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap {
            Double($0.dropFirst(name.count + 1))
        }
    }

    private static func prelude(port: Int, certificate: String) -> String {
        """
        import json, os, re, signal, socket, ssl, struct, sys, threading, time
        port, cert = \(port), '\(certificate)'

        def context():
            # The certificate may have changed: what counts here is the transport.
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
            return made

        def connect():
            plain = socket.create_connection(('127.0.0.1', port), 20)
            # The end of the connection without a close_notify is an error.
            return context().wrap_socket(plain, suppress_ragged_eofs=False)

        def request(method, path, body=None, more=''):
            head = f'{method} {path} HTTP/1.1\\r\\nHost: localhost\\r\\n{more}'
            if body is not None:
                head += f'Content-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n'
            return (head + '\\r\\n').encode() + (body or '').encode()

        def answer(file, is_head=False):
            status = int(file.readline().split()[1])
            length, lines = 0, []
            while (line := file.readline().strip()):
                lines.append(line.decode())
                if line.lower().startswith(b'content-length:'):
                    length = int(line.split()[1])
            return status, lines, b'' if is_head else file.read(length)

        def make_chat():
            with connect() as peer:
                file = peer.makefile('rb')
                peer.sendall(request('POST', '/applications', '{"name":"x"}'))
                token = json.loads(answer(file)[2])['token']
                peer.sendall(request('POST', f'/applications/{token}/chats', '{}'))
                assert answer(file)[0] == 201
                return f'/applications/{token}/chats/1'


        """
    }
}
