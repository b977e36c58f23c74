import Foundation
import TestSupport
import Testing

@testable import luciq

/// The process as the system sees it: its signals, its standard error, its open files, its arguments.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ProcessTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private var database: [String: String] { ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")] }

    /// With a request that is not complete, a shutdown takes as long as it may.
    private func makeBusy(_ client: Client, _ server: LuciqProcess) async throws -> RawConnection {
        let stuck = try RawConnection(port: client.port)
        await stuck.send("POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        try await eventually("it has the request") {
            try await client.get("/metrics").text.contains("luciq_http_connections 2\n")
        }
        return stuck
    }

    /// A log collector that hangs must not take the server with it.
    @Test func standardErrorThatNobodyReadsStopsNothing() async throws {
        // The port comes by a pipe that is read no further.
        let errors = Pipe()
        let server = try LuciqProcess(["serve", "--port", "0"], in: folder, environment: database, errors: errors)
        var port: Int?
        var text = ""
        while port == nil {
            let data = errors.fileHandleForReading.availableData
            try #require(!data.isEmpty)
            text += String(decoding: data, as: UTF8.self)
            port = text.firstMatch(of: /"url":"http:[^"]*:(\d+)"/).flatMap { Int($0.1) }
        }
        let client = Client(port: port!)
        let chat = try await client.makeChat()
        // The pipe holds 64 KiB, a line of these has 300 bytes; then the queue is filled, too.
        let id = ["X-Request-Id": String(repeating: "x", count: 128)]
        try await eventually("lines are dropped", within: 100) {
            for _ in 0..<200 { #expect(try await client.get(chat, headers: id).status == 200) }
            return try await client.get("/metrics").text.contains(/luciq_log_lines_dropped_total [1-9]/)
        }
        #expect(try await client.post(chat + "/messages", json: #"{"body":"x"}"#).status == 201)
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    /// SIGHUP comes from a closing terminal and from logrotate; USR1 and USR2 from scripts meant for other servers.
    @Test func otherSignalsEndNothing() async throws {
        let (server, client) = try await LuciqProcess.serve(in: folder)
        for (signal, name) in [(SIGHUP, "SIGHUP"), (SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2")] {
            server.signal(signal)
            try await eventually("it says so") {
                server.errorText.contains("\"message\":\"Signal ignored\",\"signal\":\"\(name)\"")
            }
            #expect(try await client.get("/readyz").status == 200)
        }
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    @Test func otherSignalsEndNoWorker() async throws {
        let place = try await WorkerPlace.make()
        let (worker, client) = try await place.worker()
        for (signal, name) in [(SIGHUP, "SIGHUP"), (SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2")] {
            worker.signal(signal)
            try await eventually("it says so") {
                worker.errorText.contains("\"message\":\"Signal ignored\",\"signal\":\"\(name)\"")
            }
        }
        #expect(try await client.get("/livez").status == 200)
        worker.signal(SIGTERM)
        #expect(await worker.wait().code == 0)
    }

    @Test(arguments: [SIGTERM, SIGINT]) func aSecondSignalEndsItAtOnce(_ signal: Int32) async throws {
        let (server, client) = try await LuciqProcess.serve(["--shutdown-timeout", "600"], in: folder)
        let stuck = try await makeBusy(client, server)
        server.signal(SIGTERM)
        try await eventually("it shuts down") { server.errorText.contains("\"message\":\"shutting down\"") }
        // Signals that arrive together with the first count as one.
        try await eventually("it has ended") {
            server.signal(signal)
            return !server.isRunning
        }
        #expect(await server.wait().code == 128 + signal)
        _ = stuck
    }

    /// The same with all of Swift's threads blocked for ever: the limit holds whatever hangs.
    @Test func theWatchdogEndsWhatHangs() async throws {
        let server = try LuciqProcess(["hang"], in: folder)
        try await eventually("all hang") {
            server.errorText.components(separatedBy: "A thread hangs.").count
                > ProcessInfo.processInfo.activeProcessorCount
        }
        server.signal(SIGTERM)
        #expect(await server.wait().code == 70)
        #expect(server.errorText.contains("Shutdown took too long"))
    }

    /// The database must not get the descriptor of a standard error that was closed at the start: it would receive the
    /// log.
    @Test func closedStreamsStayFree() async throws {
        let server = try ServerProcess(
            ["sh", "-c", "exec \"$0\" serve --port 0 <&- >&- 2>&-", LuciqProcess.product("luciq").path],
            log: folder.file("out"), environment: database)
        try await eventually("the database is open") {
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(server.pid)/fd")
            return open.contains {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(server.pid)/fd/\($0)"))?
                    .hasSuffix("test.sqlite") ?? false
            }
        }
        for number in 0...2 {
            let file = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(server.pid)/fd/\(number)")
            #expect(file == "/dev/null")
        }
    }

    @Test func aStarIsAllAddresses() async throws {
        let (server, client) = try await LuciqProcess.serve(
            ["--host", "*", "--open-applications", "true"], in: folder)
        // Over IPv4; where there is IPv6, this is a socket of that.
        #expect(try await client.get("/livez").status == 200)
        server.signal(SIGKILL)
        await server.wait()
        for (variable, arguments) in [("HOST", ["serve", "--host", ""]), ("WORKER_HOST", ["worker", "--host", ""])] {
            let environment =
                variable == "HOST"
                ? database : ["DATABASE_URL": "mysql://u@127.0.0.1/x", "REDIS_URL": "redis://127.0.0.1:1"]
            let refused = try await LuciqProcess.run(arguments, in: folder, environment: environment)
            #expect(refused.code == 78)
            #expect(refused.errors == "luciq: \(variable) must be an address to listen on, or * for all.\n")
        }
    }

    /// Everybody on the machine can read a process' arguments.
    @Test func argumentsShowNoSecrets() async throws {
        let (server, client) = try await LuciqProcess.serve(
            ["--redis-url", "redis://user:s3cret@127.0.0.1:6379/0"], in: folder)
        let arguments = try String(contentsOfFile: "/proc/\(server.pid)/cmdline", encoding: .utf8)
        #expect(arguments.contains("serve\0") && arguments.contains("redis://***********@127.0.0.1:6379/0\0"))
        let token = try await client.makeApplication().suffix(32)
        let tail = try LuciqProcess(
            ["tail", String(token), "1", "--url", "http://127.0.0.1:1"], in: folder)
        try await eventually("the token is gone") {
            try String(contentsOfFile: "/proc/\(tail.pid)/cmdline", encoding: .utf8)
                .contains("tail\0\(String(repeating: "*", count: 32))\01\0")
        }
        server.signal(SIGKILL)
    }

    @Test(arguments: [
        ("mysql://u:p@ss/w@h/d", "mysql://********@h/d"), ("--redis-url=redis://:p@h", "--redis-url=redis://**@h"),
        ("redis://h:6379/0", "redis://h:6379/0"), ("a@b", "a@b"), ("x@mysql://h", "x@mysql://h"), ("", ""),
        ("mysql://", "mysql://"), ("0123456789abcdef0123456789abcdef", String(repeating: "*", count: 32)),
    ])
    func whatIsASecret(_ argument: String, _ shown: String) {
        var bytes = Array(argument.utf8)
        for index in ArgumentSecrets.secret(in: bytes) { bytes[index] = UInt8(ascii: "*") }
        #expect(String(decoding: bytes, as: UTF8.self) == shown)
    }
}
