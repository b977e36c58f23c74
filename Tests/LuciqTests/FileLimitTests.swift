import Foundation
import TestSupport
import Testing

@testable import luciq

/// Open files: clients never get those that the process needs itself.
@Suite(.serialized, .timeLimit(.minutes(5))) struct FileLimitTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private var reserved: Int {
        FileLimit.process(listeners: 2) + StoreLocation.sqlite(path: "").openFiles
    }

    /// Starts a server that may have so many files.
    private func serve(_ limit: Int) throws -> ServerProcess {
        try ServerProcess(
            ["sh", "-c", "ulimit -n \(limit); exec \"$0\" serve --port 0", LuciqProcess.product("luciq").path],
            log: folder.file("out"), errors: folder.file("err"),
            environment: ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")])
    }

    private var log: String { (try? String(contentsOfFile: folder.file("err"), encoding: .utf8)) ?? "" }

    private func client() async throws -> Client {
        var port: Int?
        try await eventually("it listens") {
            port = log.firstMatch(of: /"message":"listening".*"url":"http:[^"]*:(\d+)"/).flatMap { Int($0.1) }
            return port != nil
        }
        return Client(port: port!)
    }

    @Test func whatIsLeftIsForConnections() {
        #expect(FileLimit.allowed(10_000, beside: 60, of: 20_000) == 10_000)
        #expect(FileLimit.allowed(10_000, beside: 60, of: 10_060) == 10_000)
        #expect(FileLimit.allowed(10_000, beside: 60, of: 1024) == 964)
        #expect(FileLimit.allowed(10_000, beside: 60, of: 68) == 8)
        #expect(FileLimit.allowed(10_000, beside: 60, of: 67) == nil)
        #expect(FileLimit.allowed(2, beside: 60, of: 62) == 2)
    }

    /// All allowed connections are taken, and those that are served have all files they need.
    @Test func aLowLimitLowersTheConnections() async throws {
        let server = try serve(reserved + 12)
        let client = try await client()
        #expect(log.contains("Fewer connections than set: the limit on open files is too low"))
        #expect(log.contains("\"setting\":\"MAX_CONNECTIONS\",\"used\":12}"))
        let chat = try await client.makeChat()
        let idle = try (0..<30).map { _ in try RawConnection(port: client.port) }
        for path in ["/readyz", chat + "/messages/search?q=hello", chat + "/messages"] {
            #expect(try await client.get(path).status == 200, "\(path)")
        }
        #expect(!log.contains("Accepting paused"))
        _ = (server, idle)
    }

    @Test func aLimitThatIsTooLowIsRefused() async throws {
        let server = try serve(reserved + 7)
        try await eventually("it has ended") { server.exitCode != nil }
        #expect(server.exitCode == 78)
        #expect(
            log == """
                luciq: The limit on open files is \(reserved + 7), and at least \(reserved + 8) are needed: raise it \
                (ulimit -n, LimitNOFILE of systemd, nofile of a container).

                """)
    }

    #if os(Linux)
        /// The whole system may be out of files, too: then the server waits, and goes on.
        @Test func acceptingPausesWhileThereIsNoFile() async throws {
            let server = try serve(1024)
            let client = try await client()
            _ = try await client.makeChat()
            func limit(_ files: Int) async throws {
                _ = try await runProgram(["prlimit", "--pid=\(server.pid)", "--nofile=\(files):1024"])
            }
            try await limit(3)
            let connection = try RawConnection(port: client.port)
            try await eventually("it says so") { log.contains("\"message\":\"Accepting paused\"") }
            try await limit(1024)
            await connection.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            var rest: [UInt8] = []
            #expect(try await connection.receiveAnswer(rest: &rest)?.status == 200)
            #expect(log.split(separator: "Accepting paused").count == 2)
        }
    #endif
}
