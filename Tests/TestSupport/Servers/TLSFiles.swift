import Foundation

/// Certificates for servers on this machine, made by `openssl`: a CA, a server's certificate signed by it for
/// `localhost` and 127.0.0.1, and another CA that has signed nothing here.
package struct TLSFiles: Sendable {
    private let folder: TemporaryFolder

    package var ca: String { folder.file("ca.pem") }
    package var certificate: String { folder.file("server.pem") }
    package var key: String { folder.file("server.key") }
    package var otherCA: String { folder.file("other-ca.pem") }

    /// For `MariaDBServer.start`; with `--require-secure-transport=ON` it accepts nothing but TLS on its port.
    package var mariadbOptions: [String] { ["--ssl-ca=\(ca)", "--ssl-cert=\(certificate)", "--ssl-key=\(key)"] }

    var redisOptions: [String] {
        [
            "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ca,
            "--tls-auth-clients", "no", "--tls-replication", "yes",
        ]
    }

    var redisClientOptions: [String] { ["--tls", "--cacert", ca, "-h", "127.0.0.1"] }

    /// Takes a few dozen milliseconds.
    package static func make() async throws -> TLSFiles {
        let files = TLSFiles(folder: try TemporaryFolder())
        try Reaper.shared.get().folder(files.folder.path)
        let path = files.folder.path
        for (name, key) in [("ca", "ca.key"), ("other-ca", "other-ca.key")] {
            try await openssl(
                ["req", "-x509"] + newKey + [
                    "-keyout", "\(path)/\(key)", "-out", "\(path)/\(name).pem", "-days", "2", "-subj", "/CN=\(name)",
                ])
        }
        try await openssl(
            ["req"] + newKey + [
                "-keyout", files.key, "-out", "\(path)/server.csr", "-subj", "/CN=localhost",
            ])
        let names = URL(fileURLWithPath: "\(path)/names")
        try Data("subjectAltName=DNS:localhost,IP:127.0.0.1\n".utf8).write(to: names)
        try await openssl([
            "x509", "-req", "-in", "\(path)/server.csr", "-CA", files.ca, "-CAkey", "\(path)/ca.key",
            "-set_serial", "1", "-days", "2", "-extfile", names.path, "-out", files.certificate,
        ])
        return files
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    private static func openssl(_ arguments: [String]) async throws { try await runProgram(["openssl"] + arguments) }
}
