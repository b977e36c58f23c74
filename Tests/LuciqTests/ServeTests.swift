import Foundation
import TestSupport
import Testing

/// The binary itself: started, signalled, killed.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ServeTests {
    private func verify(_ folder: TemporaryFolder) async throws -> (code: Int32, report: [String: Any]) {
        let result = try await LuciqProcess.run(
            ["verify", "--json", "--database-url", "sqlite://" + folder.file("test.sqlite")], in: folder)
        let report = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return (result.code, try #require(report))
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func aSignalEndsItWithZero(_ signal: Int32) async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        // An idle keep-alive connection must not hold it up.
        let idle = try RawConnection(port: client.port)
        await idle.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await idle.receive()
        server.signal(signal)
        #expect(await server.wait().code == 0)
        #expect(server.errorText.contains("\"message\":\"stopped\""))
        // A clean end checkpoints the log into the file.
        let log = try? Data(contentsOf: URL(fileURLWithPath: folder.file("test.sqlite-wal")))
        #expect(log?.isEmpty != false)
        let (again, second) = try await LuciqProcess.serve(in: folder)
        #expect(try await second.get(chat).status == 200)
        again.signal(SIGKILL)
    }

    @Test func aShutdownDoesNotWaitLongerThanItMay() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(["--shutdown-timeout", "1"], in: folder)
        let stuck = try RawConnection(port: client.port)
        await stuck.send("POST /applications HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        // The server has the request once it counts the connection beside ours.
        try await eventually("it has the request") {
            try await client.get("/metrics").text.contains("luciq_http_connections 2\n")
        }
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    /// Promise 1: every answered message is there after kill -9, at whatever moment it comes.
    @Test func killingItLosesNothingThatWasAnswered() async throws {
        let folder = try TemporaryFolder()
        var answered: [Int: String] = [:]
        var chat = ""
        for round in 0..<6 {
            let (server, client) = try await LuciqProcess.serve(in: folder)
            // The same chat after each kill: a number that was given before must not come again.
            if chat.isEmpty { chat = try await client.makeChat() }
            let chat = chat
            let before = try await client.get(chat + "/message_count").json["messages_count"] as? Int ?? 0
            let results = await withTaskGroup(of: [Int: String].self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        var mine: [Int: String] = [:]
                        for index in 0..<10_000 {
                            let body = "r\(round) w\(writer) i\(index)"
                            guard
                                let answer = try? await client.post(chat + "/messages", json: "{\"body\":\"\(body)\"}"),
                                answer.status == 201, let number = answer.json["message_number"] as? Int
                            else { return mine }
                            mine[number] = body
                        }
                        return mine
                    }
                }
                group.addTask {
                    // At a moment that differs from round to round.
                    while let count = try? await client.get(chat + "/message_count").json["messages_count"] as? Int,
                        count - before < 20 + 37 * round
                    {}
                    server.signal(SIGKILL)
                    return [:]
                }
                return await group.reduce(into: [Int: String]()) { all, mine in
                    for (number, body) in mine {
                        #expect(all[number] == nil, "number \(number) was given twice")
                        all[number] = body
                    }
                }
            }
            #expect(!results.isEmpty)
            for (number, body) in results {
                #expect(answered[number] == nil, "number \(number) was given again")
                answered[number] = body
            }
            await server.wait()
        }
        let (code, report) = try await verify(folder)
        #expect(code == 0)
        #expect(report["problemCount"] as? Int == 0)
        let (server, client) = try await LuciqProcess.serve(in: folder)
        for (number, body) in answered {
            #expect(try await client.get("\(chat)/messages/\(number)").json["body"] as? String == body)
        }
        server.signal(SIGKILL)
    }

    @Test func aRetryAfterAKillFindsTheFirstAnswer() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let chat = try await client.makeChat()
        let key = ["Idempotency-Key": "k"]
        let first = try await client.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
        server.signal(SIGKILL)
        await server.wait()
        let (again, second) = try await LuciqProcess.serve(in: folder)
        let retry = try await second.post(chat + "/messages", json: #"{"body":"x"}"#, headers: key)
        #expect(retry.text == first.text)
        #expect(retry["Idempotent-Replayed"] == "true")
        again.signal(SIGKILL)
    }

    @Test func aSecondServerOnTheSameFileIsRefused() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let url = ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")]
        for command in [["serve", "--port", "0"], ["db", "migrate"], ["db", "reset", "--yes"]] {
            let second = try await LuciqProcess.run(command, in: folder, environment: url)
            #expect(second.code == 69, "\(command)")
            #expect(second.errors.contains("Another luciq (pid \(server.pid)) is using"), "\(command)")
        }
        // Another name of the file is the same file.
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("link.sqlite"), withDestinationPath: folder.file("test.sqlite"))
        let linked = ["DATABASE_URL": "sqlite://" + folder.file("link.sqlite")]
        #expect(try await LuciqProcess.run(["serve", "--port", "0"], in: folder, environment: linked).code == 69)
        #expect(try await client.get("/readyz").status == 200)
        // Reading is allowed.
        #expect(try await verify(folder).code == 0)
        server.signal(SIGKILL)
    }

    @Test func aPortInUseIsSaidInOneLine() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let second = try await LuciqProcess.run(
            ["serve", "--port", "\(client.port)", "--database-url", "sqlite://" + folder.file("other.sqlite")],
            in: folder)
        #expect(second.code == 69)
        #expect(second.errors.contains("luciq: Cannot listen on 127.0.0.1:\(client.port): Address already in use."))
        server.signal(SIGKILL)
    }

    /// Promise 7, with the real executable: overload is refused.
    @Test func overloadIsRefused() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(["--max-pending", "1"], in: folder)
        let chat = try await client.makeChat()
        let statuses = try await withThrowingTaskGroup(of: [Int].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var statuses: [Int] = []
                    for _ in 0..<50 {
                        statuses.append(try await client.post(chat + "/messages", json: #"{"body":"x"}"#).status)
                    }
                    return statuses
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(statuses) == [201, 503])
        let stored = try await client.get(chat + "/message_count").json["messages_count"] as? Int
        #expect(stored == statuses.count { $0 == 201 })
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        #expect(try await verify(folder).code == 0)
    }

    /// Streams and unfinished requests on all of the server's connections do not affect health on its own port.
    @Test func healthHasAPortOfItsOwn() async throws {
        let folder = try TemporaryFolder()
        let (port, (server, client)) = try await withFreePort { port in
            try await LuciqProcess.serve(["--ops-port", "\(port)", "--max-connections", "8"], in: folder)
        }
        let health = Client(port: port)
        let chat = try await client.makeChat()
        var open: [RawConnection] = []
        for _ in 0..<16 {
            let connection = try RawConnection(port: client.port)
            await connection.send("POST \(chat)/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            open.append(connection)
        }
        try await eventually("no connection is left") {
            try await health.get("/metrics").text.contains("luciq_http_connections_full 1\n")
        }
        for path in ["/livez", "/readyz", "/up", "/metrics"] {
            #expect(try await health.get(path).status == 200, "\(path)")
        }
        for path in [chat, "/applications", "/openapi.yaml", "/"] {
            #expect(try await health.get(path).status == 404, "\(path)")
        }
        open = []
        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
    }

    /// As the system tells of it from outside.
    @Test func metricsTellOfTheProcess() async throws {
        let folder = try TemporaryFolder()
        let earliest = Date().timeIntervalSince1970
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let latest = Date().timeIntervalSince1970
        func metrics() async throws -> PrometheusText { PrometheusText(try await client.get("/metrics").text) }
        func value(_ name: String) async throws -> Double { try await metrics()["process_" + name, [:]] ?? 0 }

        let version = try await LuciqProcess.run(["--version"], in: folder).output.trimmingCharacters(in: .newlines)
        #expect(try await metrics()["luciq_build_info", ["version": version]] == 1)
        let start = try await value("start_time_seconds")
        #expect((earliest...latest).contains(start))
        #expect(try await value("start_time_seconds") == start)

        let before = try await value("open_fds")
        let connections = try (0..<5).map { _ in try RawConnection(port: client.port) }
        try await eventually("five more") { try await value("open_fds") == before + 5 }
        withExtendedLifetime(connections) {}
        #if os(Linux)
            let place = "/proc/\(server.pid)/"
            func words(_ name: String) throws -> [Double?] {
                try String(contentsOfFile: place + name, encoding: .utf8).split(separator: " ").map { Double($0) }
            }
            // Beside them it has the connection that asks.
            try await eventually("all files are counted") {
                let count = try FileManager.default.contentsOfDirectory(atPath: place + "fd").count
                return try await value("open_fds") == Double(count + 1)
            }
            let limits = try String(contentsOfFile: place + "limits", encoding: .utf8)
            let most = try #require(limits.firstMatch(of: /Max open files +(\d+)/))
            #expect(try await value("max_fds") == Double(most.1))

            // proc_pid_stat(5) counts ticks of 10 ms, and leaves out what is going on.
            func ticks() throws -> Double { try words("stat")[13...14].reduce(0) { $0 + ($1 ?? 0) } / 100 }
            let least = try ticks() - 0.1
            let used = try await value("cpu_seconds_total")
            let highest = try ticks() + 0.1
            #expect(least <= used && used <= highest)

            for (name, index) in [("virtual", 0), ("resident", 1)] {
                try await eventually("the \(name) memory is told") {
                    let bytes = try await value(name + "_memory_bytes")
                    let pages = try words("statm")[index] ?? 0
                    return abs(bytes / (pages * Double(sysconf(CInt(_SC_PAGESIZE)))) - 1) < 0.1
                }
            }
        #endif
        server.signal(SIGKILL)
        await server.wait()
    }

    @Test func logsAreOneObjectALine() async throws {
        let folder = try TemporaryFolder()
        let (server, client) = try await LuciqProcess.serve(in: folder)
        let application = try await client.makeApplication()
        _ = try await client.get(application, headers: ["X-Request-Id": "quote\" and \\"])
        server.signal(SIGTERM)
        await server.wait()
        let lines = server.errorText.split(separator: "\n")
        #expect(lines.count { $0.contains("listening") } == 1)
        for line in lines {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["time"] != nil && object?["level"] != nil && object?["message"] != nil)
        }
        let request = try #require(lines.first { $0.contains("quote") })
        let object = try #require(try JSONSerialization.jsonObject(with: Data(request.utf8)) as? [String: Any])
        #expect(object["request_id"] as? String == "quote\" and \\")
        #expect(object["route"] as? String == "/applications/{token}")
        #expect(object["status"] as? Int == 200)
        #expect(object["duration_ms"] != nil)
        #expect(!server.errorText.contains(application.suffix(32)))
    }
}
