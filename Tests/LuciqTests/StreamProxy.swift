import Foundation
import Synchronization
import TestSupport

/// A proxy in front of servers, with the default configuration of Debian's package, except for its address, its files,
/// and the compression of JSON and HTML, which is common.
final class StreamProxy: Sendable {
    enum Kind: CaseIterable, Sendable {
        case nginx, haproxy
    }

    let port: Int
    private let kind: Kind
    private let folder: TemporaryFolder
    private let process: Mutex<ServerProcess>

    static func start(_ kind: Kind, before servers: [Int]) async throws -> StreamProxy {
        let folder = try TemporaryFolder()
        let port = try FreePort.any()
        let configuration =
            switch kind {
            case .nginx: nginx(port, servers, folder)
            case .haproxy: haproxy(port, servers)
            }
        try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder.file("conf")))
        return StreamProxy(kind, port, folder, try await launch(kind, port, folder))
    }

    private init(_ kind: Kind, _ port: Int, _ folder: TemporaryFolder, _ process: ServerProcess) {
        self.kind = kind
        self.port = port
        self.folder = folder
        self.process = Mutex(process)
    }

    // Before the folder goes.
    deinit { process.withLock(\.self).kill() }

    /// Kills it with all its connections, and starts it again.
    func restart() async throws {
        process.withLock(\.self).kill()
        let process = try await Self.launch(kind, port, folder)
        self.process.withLock { $0 = process }
    }

    private static func launch(_ kind: Kind, _ port: Int, _ folder: TemporaryFolder) async throws -> ServerProcess {
        let command =
            switch kind {
            case .nginx: ["nginx", "-p", folder.path, "-c", folder.file("conf"), "-e", "stderr"]
            case .haproxy: ["haproxy", "-db", "-f", folder.file("conf")]
            }
        let process = try ServerProcess(command, log: folder.file("log"))
        try await eventually("\(kind) listens: \(process.output)") {
            guard process.isRunning else { throw RawConnection.Failure(description: process.output) }
            return (try? RawConnection(port: port)) != nil  // Not yet.
        }
        return process
    }

    /// One process, which alone is what is killed; Debian has a worker a core.
    private static func nginx(_ port: Int, _ servers: [Int], _ folder: TemporaryFolder) -> String {
        """
        daemon off;
        master_process off;
        pid \(folder.file("pid"));
        error_log stderr;
        events {
            worker_connections 768;
        }
        http {
            sendfile on;
            tcp_nopush on;
            types_hash_max_size 2048;
            default_type application/octet-stream;
            access_log off;
            gzip on;
            gzip_types application/json;
            \(["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
                "\($0)_temp_path \(folder.file($0));"
            }.joined(separator: " "))
            upstream luciq {
                \(servers.map { "server 127.0.0.1:\($0);" }.joined(separator: " "))
            }
            server {
                listen 127.0.0.1:\(port);
                location / {
                    proxy_pass http://luciq;
                }
                location ~ /socket$ {
                    proxy_pass http://luciq;
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection "upgrade";
                }
            }
        }
        """
    }

    private static func haproxy(_ port: Int, _ servers: [Int]) -> String {
        """
        defaults
            mode http
            option httplog
            option dontlognull
            timeout connect 5000
            timeout client 50000
            timeout server 50000
        frontend chat
            bind 127.0.0.1:\(port)
            default_backend luciq
        backend luciq
            filter compression
            compression algo gzip
            compression type application/json text/html
        \(servers.map { "    server port-\($0) 127.0.0.1:\($0)" }.joined(separator: "\n"))

        """
    }
}
