import GRDB
import Logging
import TestSupport
import Testing

@testable import ChatCore
@testable import ChatHTTP
@testable import ChatSQLite

/// A store that fails, hangs or is busy: every route that needs it says so, and stores nothing.
@Suite(.serialized, .timeLimit(.minutes(3))) struct StoreFailureTests {
    /// An error as a driver might throw it; no client may see its text.
    struct DriverError: Error, CustomStringConvertible {
        var description: String { "SELECT secret FROM messages: I/O error in /var/lib/luciq.sqlite" }
    }

    static let failures: [(any Error, code: String)] = [
        (ChatError.unavailable(reason: "The disk is full (SQLite error 13)"), "unavailable"),
        (DriverError(), "unavailable"), (ChatError.overloaded, "overloaded"),
        (ChatError.searchTimedOut(passed: nil), "search_timeout"), (ChatError.timedOut, "timed_out"),
        (ChatError.outcomeUnknown, "outcome_unknown"),
    ]

    @Test(arguments: failures.indices)
    func whatReadsAnswers503(_ index: Int) async throws {
        let (failure, code) = Self.failures[index]
        try await TestServer.run { server in
            var failedReads = 0
            for endpoint in server.endpoints where endpoint.needsStore && endpoint.pattern != "/applications" {
                // First with ids that the server has yet to look up, then with known ones.
                for isKnown in [false, true] where !(isKnown && (endpoint.isWrite || endpoint.isSocket)) {
                    let place = try await server.seed()
                    if isKnown {
                        let count = "/applications/\(place.token)/chats/1/message_count"
                        #expect(try await server.client.get(count).status == 200)
                    }
                    server.reads.fail(failure)
                    failedReads += 1
                    if endpoint.pattern == "/up" {
                        let red = try await server.send(endpoint, place)
                        #expect(red.status == 503)
                        #expect(red["Retry-After"] != nil)
                        #expect(endpoint.method == "HEAD" || red.text.contains("red"))
                    } else {
                        let answer = try await server.expectRefusal(503, code, "\(endpoint)") {
                            try await server.send(endpoint, place)
                        }
                        expectNoLeak(answer)
                    }
                    #expect(try await server.client.get("/livez").status == 200)
                    server.reads.fail(nil)
                    let status = try await server.send(endpoint, place).status
                    #expect(endpoint.isSuccess(status), "\(endpoint): \(status)")
                }
            }
            // Logged once for each failed read, never with the driver's own text. A bound that was reached is not a
            // failure.
            let failed = server.log.lines.filter { $0.hasPrefix("error ") }
            #expect(failed.count == (code == "unavailable" ? failedReads : 0), "\(failed)")
            for line in failed { #expect(!line.contains("SELECT") && !line.contains("/var"), "\(line)") }
        }
    }

    @Test(arguments: failures.indices)
    func whatWritesAnswers503(_ index: Int) async throws {
        let (failure, code) = Self.failures[index]
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.isWrite {
                let place = try await server.seed()
                server.writes.fail(failure)
                let answer = try await server.expectRefusal(503, code, "\(endpoint)") {
                    try await server.send(endpoint, place)
                }
                expectNoLeak(answer)
                #expect(try await server.client.get("/readyz").status == 200)
                server.writes.fail(nil)
                #expect(try await server.send(endpoint, place).status < 300, "\(endpoint)")
            }
            for line in server.log.lines { #expect(!line.contains("SELECT") && !line.contains("/var"), "\(line)") }
        }
    }

    private func expectNoLeak(_ answer: Answer) {
        for word in ["SELECT", "secret", "/var", "sqlite:", "DriverError"] {
            #expect(!answer.text.contains(word), "\(answer.text)")
        }
    }

    @Test func theLogHasTheDriversCodeAndNotItsText() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let path = "/applications/\(place.token)/chats/1/messages"
            #expect(try await server.client.get(path).numbers == [1])
            try await server.store.pool.write { try $0.execute(sql: "ALTER TABLE messages RENAME TO lost_messages") }
            let answer = try await server.client.get(path)
            #expect(answer.status == 503)
            #expect(answer.json["detail"] as? String == "The database failed (SQLite error 1).")
            let failed = server.log.lines.filter { $0.hasPrefix("error ") }
            #expect(failed.count == 1)
            #expect(failed.first?.contains("SQLite error 1)") == true)
            #expect(failed.first?.contains("operation\": messages") == true)
            #expect(failed.first?.contains("no such table") == false)
            try await server.store.pool.write { try $0.execute(sql: "ALTER TABLE lost_messages RENAME TO messages") }
            #expect(try await server.client.get(path).numbers == [1])
        }
    }

    /// A store that hangs delays only requests that need it.
    @Test func whatWaitsForTheStoreIsAnsweredWhenItComesBack() async throws {
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.needsStore {
                let place = try await server.seed()
                let gate = endpoint.isWrite ? server.writes : server.reads
                gate.hold()
                let request = Task { try await server.send(endpoint, place).status }
                try await gate.waitForHeld(1)
                #expect(try await server.client.get("/livez").status == 200)
                #expect(try await server.client.get("/metrics").status == 200)
                gate.release()
                let status = try await request.value
                #expect(endpoint.isSuccess(status), "\(endpoint): \(status)")
            }
        }
    }

    @Test func aSearchThatTakesTooLongIs503() async throws {
        try await TestServer.run(searchDeadline: .zero) { server in
            let place = try await server.seed()
            for endpoint in server.endpoints where endpoint.pattern.hasSuffix("/search") {
                try await server.expectRefusal(503, "search_timeout", "\(endpoint)") {
                    try await server.send(endpoint, place)
                }
            }
            #expect(try await server.client.get("/readyz").status == 200)
            #expect(server.log.lines.filter { $0.hasPrefix("error ") } == [])
        }
    }

    /// The client goes on where the search stopped.
    @Test func aSearchThatTakesTooLongSaysHowFarItCame() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let path = "/applications/\(place.token)/chats/1/messages/search"
            #expect(try await server.client.get(path + "?q=x").numbers == [1])
            for (query, link) in [
                ("", "<\(path)?after=7&limit=100&q=%25>; rel=\"next\""),
                ("&order=desc&limit=5", "<\(path)?before=7&limit=5&order=desc&q=%25>; rel=\"next\""),
                ("&before=9", "<\(path)?before=7&limit=100&q=%25>; rel=\"prev\""),
                (
                    "&after=2&before=9&before_time=2026-01-01T00:00:00Z",
                    "<\(path)?after=7&before=9&limit=100&q=%25&before_time=2026-01-01T00%3A00%3A00Z>; rel=\"next\""
                ),
            ] {
                server.reads.fail(ChatError.searchTimedOut(passed: 7))
                let answer = try await server.expectRefusal(503, "search_timeout", query) {
                    try await server.client.get(path + "?q=%25" + query)
                }
                #expect(answer["Link"] == link)
                server.reads.fail(nil)
                let next = try #require(answer.link("next") ?? answer.link("prev"))
                #expect(try await server.client.get(next).status == 200)
            }
        }
    }

    /// So does one of all chats.
    @Test func aSearchOfAllChatsSaysHowFarItCame() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let path = "/applications/\(place.token)/messages/search"
            let hit = try #require(try await server.client.get(path + "?q=x").list.first?["created_at"] as? String)
            for (milliseconds, isFound) in [(-1, false), (1, true)] {
                let time = try #require(Timestamp(rfc3339: hit)).adding(.milliseconds(milliseconds))
                server.reads.fail(SearchStopped(at: time))
                let answer = try await server.expectRefusal(503, "search_timeout", "") {
                    try await server.client.get(path + "?q=x&limit=7&before_time=2100-01-01T00:00:00Z")
                }
                let cursor = SearchCursor(at: time)
                #expect(
                    answer["Link"]
                        == "<\(path)?after=\(cursor)&limit=7&q=x&before_time=2100-01-01T00%3A00%3A00Z>; rel=\"next\"")
                server.reads.fail(nil)
                let next = try await server.client.get(try #require(answer.link("next")))
                #expect(next.status == 200 && (next.text != "[]") == isFound, "\(next.text)")
            }
        }
    }

    @Test func searchesPastTheirBoundAre503() async throws {
        try await TestServer.run { server in
            let place = try await server.seed()
            let search = Endpoint(
                method: "GET", pattern: "/applications/{token}/chats/{chat_number}/messages/search")
            let tenant = try await server.tenant(of: place)
            let held = Gate()
            held.hold()
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { held.release() }
                // One is running, the others are in the line.
                for _ in 0...64 {
                    group.addTask {
                        try await server.service.scans.pass(tenant, from: .unspecified) { try await held.pass() }
                    }
                }
                try await held.waitForHeld(1)
                try await eventually("the line is full") { server.service.scans.waiting == 64 }
                try await server.expectRefusal(503, "overloaded", "\(search)") {
                    try await server.send(search, place)
                }
                // Another tenant has a turn meanwhile, and everyone creates.
                let other = try await server.seed()
                #expect(try await server.send(search, other).status == 200)
                for place in [place, other] {
                    for create in server.endpoints where create.isCreate {
                        #expect(try await server.send(create, place).status == 201, "\(create)")
                    }
                }
                // Requests that do not walk a chat are not delayed.
                let list = Endpoint(method: "GET", pattern: search.pattern.replacing("/search", with: ""))
                #expect(try await server.send(list, place).status == 200)
            }
            #expect(try await server.send(search, place).status == 200)
        }
    }

    @Test func readsAreMeasured() async throws {
        try await TestServer.run { server in
            for endpoint in server.endpoints where endpoint.needsStore && endpoint.method == "GET" {
                _ = try await server.send(endpoint, try await server.seed())
            }
            for operation in [
                "application_id", "application", "application_message_count", "chat_id", "chat", "chats",
                "chat_message_count", "message", "messages", "search", "probe",
            ] {
                let count = server.metric("luciq_store_read_seconds_count{operation=\"\(operation)\"}")
                #expect(count > 0, "\(operation)")
            }
        }
    }

    /// A driver has other names for it.
    @Test func aReadThatIsCancelledIsNoFailureOfTheStore() async throws {
        let log = LogRecorder()
        let observer = ReadObserver(
            logger: Logger(label: "test") { _ in log }, metrics: PrometheusRegistry(version: "test"))
        let read = Task {
            try await observer.observe(.probe) {
                try? await Task.sleep(for: .seconds(3600))
                throw ChatError.unavailable(reason: "The connection was lost")
            }
        }
        read.cancel()
        await #expect(throws: CancellationError.self) { try await read.value }
        #expect(log.lines == [])
    }
}
