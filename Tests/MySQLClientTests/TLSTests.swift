import Foundation
import Synchronization
import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct TLSTests {
    /// A server whose certificate is for `localhost`, signed by `ca.pem`, and an authority that signed nothing.
    private func withTLS(_ options: [String], _ body: (MariaDBServer, _ folder: String) async throws -> Void)
        async throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path
        func request(_ name: String, _ arguments: [String]) async throws {
            try await runProgram(
                [
                    "openssl", "req", "-x509", "-days", "2", "-subj", "/CN=\(name)", "-newkey", "ec",
                    "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "\(path)/\(name).key",
                    "-out", "\(path)/\(name).pem",
                ] + arguments)
        }
        try await request("ca", [])
        try await request("other", [])
        try await request(
            "server",
            [
                "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE",
                "-CA", "\(path)/ca.pem", "-CAkey", "\(path)/ca.key",
            ])
        let server = try await MariaDBServer.start(
            ["--ssl-ca=\(path)/ca.pem", "--ssl-cert=\(path)/server.pem", "--ssl-key=\(path)/server.key"] + options)
        try await body(server, path)
        withExtendedLifetime((folder, server)) {}
    }

    @Test func modes() async throws {
        try await withTLS([]) { server, folder in
            let cases: [(host: String, parameters: String, isRight: Bool, isEncrypted: Bool)] = [
                ("127.0.0.1", "ssl-mode=disabled", true, false),
                ("127.0.0.1", "ssl-mode=preferred", true, true),
                ("127.0.0.1", "ssl-mode=required", true, true),
                ("127.0.0.1", "ssl-ca=FOLDER/ca.pem", true, true),
                ("127.0.0.1", "ssl-ca=FOLDER/other.pem", false, false),
                ("127.0.0.1", "ssl-ca=FOLDER/missing.pem", false, false),
                ("127.0.0.1", "ssl-mode=required&ssl-ca=FOLDER/other.pem", false, false),
                ("localhost", "ssl-mode=verify-identity&ssl-ca=FOLDER/ca.pem", true, true),
                ("localhost", "ssl-mode=verify-identity&ssl-ca=FOLDER/other.pem", false, false),
                ("127.0.0.1", "ssl-mode=verify-identity&ssl-ca=FOLDER/ca.pem", false, false),
                // The system does not trust our authority.
                ("localhost", "ssl-mode=verify-identity", false, false),
            ]
            for (host, parameters, isRight, isEncrypted) in cases {
                let url = "mysql://root:\(MariaDBServer.password)@\(host):\(server.port)/luciq?\(parameters)"
                let configuration = try MySQLConfiguration(url: url.replacing("FOLDER", with: folder))
                let cipher = MutexBox("")
                let outcome = await kind {
                    let connection = try await MySQLConnection.connect(configuration)
                    cipher.value = try await connection.perform {
                        try $0.first("SHOW STATUS LIKE 'Ssl_cipher'") { $0.text(1) } ?? ""
                    }
                }
                #expect(outcome == (isRight ? nil : .cannotConnect), "\(parameters)")
                #expect(cipher.value.isEmpty != isEncrypted, "\(parameters)")
            }
        }
    }

    @Test func serverThatRequiresIt() async throws {
        try await withTLS(["--require-secure-transport=ON"]) { server, folder in
            var configuration = server.configuration
            configuration.tlsMode = .disabled
            // MariaDB 10.11 calls it access denied; MySQL has a number for it.
            let refusal = await kind { _ = try await MySQLConnection.connect(configuration) }
            #expect(refusal == .accessDenied || refusal == .cannotConnect)
            configuration.tlsMode = .preferred
            let connection = try await MySQLConnection.connect(configuration)
            // One that hangs up under TLS is a lost connection, not a broken pipe that ends us.
            let bytes = MySQLValue.bytes(Array(repeating: 7, count: 1 << 20))
            #expect(
                try await connection.perform { try $0.first("SELECT LENGTH(?)", [bytes]) { $0.integer(0) } } == 1 << 20)
            server.kill()
            #expect(await kind { try await connection.execute("DO ?", [bytes]) } == .connectionLost)
        }
    }
}

final class MutexBox: Sendable {
    private let text: Mutex<String>
    init(_ text: String) { self.text = Mutex(text) }
    var value: String {
        get { text.withLock(\.self) }
        set { text.withLock { $0 = newValue } }
    }
}
