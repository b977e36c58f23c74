import Foundation
import LuciqClient
import Synchronization
import TestSupport
import Testing

/// The Swift client and a server that does what the test says.
@Suite(.serialized, .timeLimit(.minutes(2))) struct SwiftClientScriptTests {
    private func chat(_ server: StandInServer, _ credentials: ChatCredentials = .none) throws -> ChatClient {
        try ChatClient(
            url: "http://127.0.0.1:\(server.port)", application: "app_x", chat: 7, credentials: credentials)
    }

    private func event(_ number: Int) -> String {
        "event: message\ndata: {\"number\":\(number),\"body\":\"m\(number)\",\"created_at\":\"t\"}\nid: \(number).0\n\n"
    }

    private static let page = "Luciq-Cursor: 0.0\r\n"

    /// Each refusal costs one question; a key that is refused is refused.
    @Test func aTokenIsAskedForOnce() async throws {
        let shown = Mutex<[String]>([])
        let first = event(1)
        let second = event(2)
        let server = try await StandInServer { exchange in
            let token = exchange.request.firstMatch(of: /(?i)authorization: Bearer ([^\r]+)/)?.1
            shown.withLock { $0.append(token.map(String.init) ?? "") }
            switch exchange.index {
            case 0: try await exchange.answer("200 OK", json: "[]", headers: Self.page)
            case 1:
                #expect(exchange.request.contains("GET /applications/app_x/chats/7/stream?after=0%2E0&changes=1 "))
                try await exchange.writeStreamHead()
                try await exchange.write(first)
                try await exchange.write("event: close\ndata: {\"code\":\"token_expired\",\"reconnect\":false}\n\n")
            case 2: try await exchange.answer("401 Unauthorized", json: #"{"code":"token_expired","detail":"Old."}"#)
            case 3:
                #expect(exchange.request.contains("/stream?after=1%2E0&changes=1 "))
                try await exchange.writeStreamHead()
                try await exchange.write(second)
                try await exchange.hold()
            default: try await exchange.answer("401 Unauthorized", json: #"{"code":"unauthorized","detail":"No."}"#)
            }
        }
        let asked = Mutex(0)
        let chat = try chat(
            server,
            .token {
                asked.withLock { count in
                    count += 1
                    return "token \(count)"
                }
            })
        for try await state in chat.states() where state.head == 2 {
            #expect(state.messages.map(\.number) == [1, 2])
            break
        }
        let tokens = shown.withLock { $0 }
        #expect(tokens == ["token 1", "token 1", "token 2", "token 3"])
        // Refused twice in a row, it is the application's to know.
        let failure = try #require(await #expect(throws: CallFailure.self) { try await chat.messages() })
        #expect(failure.status == 401 && failure.code == "unauthorized" && !failure.isPassing)
        let counts = (shown.withLock { $0.count }, asked.withLock { $0 })
        #expect(counts == (6, 4))
    }

    /// A stream that nobody waits for any more is closed.
    @Test func cancellationEndsTheConnection() async throws {
        let isClosed = Mutex(false)
        let first = event(1)
        let server = try await StandInServer { exchange in
            if exchange.request.contains("/messages?") {
                return try await exchange.answer("200 OK", json: "[]", headers: Self.page)
            }
            try await exchange.writeStreamHead()
            try await exchange.write(first)
            do {
                while true {
                    try await exchange.write(":\n")
                    try await Task.sleep(for: .milliseconds(10))
                }
            } catch {
                isClosed.withLock { $0 = true }
            }
        }
        let chat = try chat(server)
        let (seen, continuation) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            var last = ChatState()
            for try await state in chat.states() {
                last = state
                if state.head == 1 { continuation.yield() }
            }
            return last
        }
        var iterator = seen.makeAsyncIterator()
        await iterator.next()
        let isEarly = isClosed.withLock { $0 }
        #expect(!isEarly)
        task.cancel()
        // It ends without an error.
        let end = try await task.value
        #expect(end.messages.count == 1)
        try await eventually("the connection is closed") { isClosed.withLock { $0 } }
        // And one whose reader has gone.
        isClosed.withLock { $0 = false }
        for try await state in chat.states() where state.head == 1 { break }
        try await eventually("the connection is closed") { isClosed.withLock { $0 } }
    }

    /// What comes before the end of a stream is told before the end is.
    @Test func aFinalEndIsAnError() async throws {
        let first = event(1)
        let server = try await StandInServer { exchange in
            if exchange.index == 0 { return try await exchange.answer("200 OK", json: "[]", headers: Self.page) }
            try await exchange.writeStreamHead()
            let end = "event: close\ndata: {\"code\":\"not_found\",\"reconnect\":false}\n\n"
            try await exchange.write("event: later\ndata: {}\nid: 0.1\n\n" + first + end)
        }
        var updates: [ChatUpdate] = []
        var iterator = try chat(server).updates().makeAsyncIterator()
        do {
            while let update = try await iterator.next() { updates.append(update) }
            Issue.record("it ended without an error")
        } catch {
            #expect(error.sentence == "The server closed the stream for good (not_found).")
        }
        let names = updates.map { update in
            switch update {
            case .loaded: "loaded"
            case .connected: "connected"
            case .event(let event): event.type
            case .lost: "lost"
            }
        }
        #expect(names == ["loaded", "connected", "later", "message"])
        // It is over.
        let last = try await iterator.next()
        #expect(last == nil)
    }

    /// The requests of the writes, and that each is tried again with its key.
    @Test func writesAreTriedAgain() async throws {
        let requests = Mutex<[String]>([])
        let server = try await StandInServer { exchange in
            requests.withLock { $0.append(exchange.request) }
            if exchange.index % 2 == 0 { return try await exchange.answer("503 Service Unavailable", json: "{}") }
            try await exchange.answer("200 OK", json: #"{"message_number":3,"body":"x","created_at":"t","rev":4}"#)
        }
        let chat = try chat(server, .key("lq_app_1"))
        let troubles = Mutex(0)
        let edited = try await chat.edit(3, body: "x", metadata: ["a": nil]) { _ in troubles.withLock { $0 += 1 } }
        let count = troubles.withLock { $0 }
        #expect(edited.number == 3 && edited.revision == 4 && count == 1)
        try await chat.edit(3, body: "y", ifStill: edited)
        try await chat.delete(3)
        try await chat.react("a/é", to: 3, as: "u 1")
        try await chat.unreact("a/é", to: 3)
        let seen = requests.withLock { $0 }
        func lines(_ request: String) -> [String] {
            let names = ["if-match", "idempotency-key", "authorization"]
            return request.components(separatedBy: "\r\n").filter { line in
                names.contains { line.lowercased().hasPrefix($0) }
            }.sorted() + [request.components(separatedBy: "\r\n\r\n").last ?? ""]
        }
        #expect(seen.count == 10)
        for index in stride(from: 0, to: seen.count, by: 2) {
            #expect(seen[index].prefix { $0 != "\r\n" } == seen[index + 1].prefix { $0 != "\r\n" })
            #expect(lines(seen[index]) == lines(seen[index + 1]))
        }
        let message = "/applications/app_x/chats/7/messages/3"
        #expect(seen[0].hasPrefix("PATCH \(message) ") && lines(seen[0]).last == #"{"body":"x","metadata":{"a":null}}"#)
        #expect(lines(seen[2]).contains { $0.lowercased() == "if-match: \"3.4\"" } && lines(seen[0]).count == 3)
        #expect(lines(seen[0])[1] != lines(seen[2])[1])
        #expect(seen[4].hasPrefix("DELETE \(message) "))
        #expect(seen[6].hasPrefix("PUT \(message)/reactions/a%2F%C3%A9?user=u%201 "))
        #expect(seen[8].hasPrefix("DELETE \(message)/reactions/a%2F%C3%A9 "))
        #expect(seen.allSatisfy { lines($0).contains { $0.hasSuffix("Bearer lq_app_1") } })
        let wrong = #expect(throws: CallFailure.self) {
            try ChatClient(url: "localhost", application: "app_x", chat: 1)
        }
        #expect(wrong?.sentence.hasPrefix("The server's URL must look like") == true)
    }
}
