import Foundation
import LuciqClient
import Synchronization
import TestSupport
import Testing

/// The Swift client and real servers, which are killed, restored and emptied of tokens under it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SwiftClientTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A chat, through a server on a port that stays the same.
    private struct Site {
        let port: Int
        let environment: [String: String]
        let folder: TemporaryFolder

        func serve() async throws -> (server: LuciqProcess, client: Client) {
            let (server, client) = try await LuciqProcess.listening(
                ["serve", "--port", "\(port)"], in: folder, environment: environment)
            return (server, client)
        }

        func chat(_ application: String, _ credentials: ChatCredentials = .none) throws -> ChatClient {
            try ChatClient(
                url: "http://127.0.0.1:\(port)", application: application, chat: 1, credentials: credentials)
        }
    }

    private func site(_ store: OldClientTests.Store) async throws -> Site {
        var environment = ["DATABASE_URL": "sqlite://" + folder.file("test.sqlite")]
        if store == .cluster {
            environment["DATABASE_URL"] = try await SharedServers.freshDatabase()
            environment["REDIS_URL"] = try await SharedServers.freshRedisDatabase()
            let migration = try await LuciqProcess.run(["db", "migrate"], in: folder, environment: environment)
            #expect(migration.code == 0, "\(migration.errors)")
        }
        return Site(port: try FreePort.any(), environment: environment, folder: folder)
    }

    private static let last = "the last one"

    private final class Sent: Sendable { let numbers = Mutex<[Int64]>([]) }

    /// Writers and readers go on while the server is killed. Each message is stored once, and each reader ends with what
    /// the server has.
    @Test(arguments: OldClientTests.Store.allCases, [1, 2])
    func convergesWhateverIsKilled(_ store: OldClientTests.Store, _ seed: UInt64) async throws {
        let site = try await site(store)
        var (server, client) = try await site.serve()
        let chat = try site.chat(String(try await client.makeChat().split(separator: "/")[1]))
        let sent = Sent()
        try await withThrowingTaskGroup(of: ChatState?.self) { tasks in
            for reader in 0..<4 {
                tasks.addTask {
                    try await Self.follow(chat, restarts: reader > 0, seed * 10 + UInt64(reader))
                }
            }
            tasks.addTask {
                let numbers = try await Self.write(to: chat, SeededRandom(seed: seed))
                let last = try await chat.send(Self.last)
                sent.numbers.withLock { $0 = numbers + [last.number] }
                return nil
            }
            for count in [10, 25] {
                try await eventually("\(count) messages") { try await chat.messages(limit: 1).cursor.hasHead(count) }
                server.signal(SIGKILL)
                await server.wait()
                (server, client) = try await site.serve()
            }
            var states: [ChatState] = []
            for try await state in tasks { if let state { states.append(state) } }
            var fresh = ChatState()
            fresh.load(try await chat.messages(limit: 100))
            #expect(states.count == 4)
            for state in states { #expect(state.messages == fresh.messages && state.cursor == fresh.cursor) }
            // No message is there twice, whatever was tried again.
            let numbers = sent.numbers.withLock { $0 }
            #expect(fresh.messages.map(\.number) == numbers)
        }
        server.signal(SIGKILL)
    }

    /// - Returns: the numbers of the messages that were sent.
    private static func write(to chat: ChatClient, _ start: SeededRandom) async throws -> [Int64] {
        var random = start
        var sent: [Int64] = []
        var deleted: Set<Int64> = []
        for step in 0..<120 {
            let number = sent.randomElement(using: &random) ?? 0
            let choice = Int.random(in: 0..<12, using: &random)
            if choice < 4 || sent.isEmpty {
                let message = try await chat.send("message \(step)", sender: choice == 0 ? "ann" : nil)
                #expect(message.body == "message \(step)" && message.number > sent.last ?? 0)
                sent.append(message.number)
            } else if deleted.contains(number) {
                // An answer may have been lost: both ends are in order.
                await #expect(throws: CallFailure.self) { try await chat.edit(number, body: "never") }
            } else if choice < 7 {
                try await chat.edit(number, body: "edit \(step)", metadata: step % 2 == 0 ? ["step": 1] : nil)
            } else if choice < 10 {
                try await chat.react("👍", to: number, as: "u\(choice)")
            } else if choice == 10 {
                try await chat.unreact("👍", to: number, as: "u9")
            } else {
                deleted.insert(number)
                #expect(try await chat.delete(number).isDeleted)
            }
        }
        return sent
    }

    /// Follows a chat until nothing is written any more, and everything is here. One that restarts goes on from its cursor.
    private static func follow(
        _ chat: ChatClient, restarts: Bool, _ seed: UInt64
    ) async throws -> ChatState {
        var random = SeededRandom(seed: seed)
        var state = ChatState()
        while true {
            let start = restarts ? state.cursor.map { ChatStart.after($0) } : nil
            var left = restarts ? Int.random(in: 1...40, using: &random) : .max
            for try await update in chat.updates(from: start ?? .newest(100)) {
                state.apply(update)
                if case .lost = update { continue }
                // The server is there again when this is asked, or the next time.
                if state.messages.last?.body == Self.last, let page = try? await chat.messages(limit: 1),
                    page.cursor == state.cursor
                {
                    return state
                }
                left -= 1
                if left == 0 { break }
            }
            try Task.checkCancellation()
        }
    }

    /// After a restore the server gives numbers a second time. The states begin anew, and `luciq tail` prints the others.
    @Test func aRestoreIsNoticed() async throws {
        let site = try await site(.embedded)
        let backup = folder.file("backup")
        var (server, client) = try await site.serve()
        let token = String(try await client.makeChat().split(separator: "/")[1])
        let chat = try site.chat(token)
        for number in 1...3 { try await chat.send("m\(number)") }
        #expect(
            try await LuciqProcess.run(["db", "backup", backup], in: folder, environment: site.environment).code == 0)
        let tail = try ServerProcess(
            [LuciqProcess.product("luciq").path, "tail", token, "1", "--changes", "--after", "0.0"]
                + ["--url", "http://127.0.0.1:\(site.port)"],
            log: folder.file("tail"), errors: folder.file("tail-errors"))
        let (states, continuation) = AsyncStream.makeStream(of: ChatState.self, bufferingPolicy: .unbounded)
        let follower = Task {
            for try await state in chat.states() { continuation.yield(state) }
        }
        for number in 4...5 { try await chat.send("before \(number)") }
        try await tail.prints("before 5\n")
        var iterator = states.makeAsyncIterator()
        var state = ChatState()
        while state.messages.last?.body != "before 5" { state = try #require(await iterator.next()) }

        server.signal(SIGTERM)
        #expect(await server.wait().code == 0)
        let restored = try await LuciqProcess.run(["db", "restore", backup], in: folder, environment: site.environment)
        #expect(restored.code == 0, "\(restored)")
        (server, client) = try await site.serve()
        try await chat.send("after 4")
        try await tail.prints("after 4\n")
        while state.messages.last?.body != "after 4" { state = try #require(await iterator.next()) }
        #expect(state.messages.map(\.body) == ["m1", "m2", "m3", "after 4"])
        #expect(state.cursor == "e2.4.0")
        let shown = tail.output.split(separator: "\n").map { $0.split(separator: "  ").last ?? "" }
        #expect(shown == ["m1", "m2", "m3", "before 4", "before 5", "after 4"])
        // One that was never right is a mistake.
        let wrong = try await LuciqProcess.run(
            ["tail", token, "1", "--after", "e3.1.0", "--url", "http://127.0.0.1:\(site.port)"], in: folder)
        #expect(
            wrong.code == 69 && wrong.errors.hasPrefix("luciq: The cursor is beyond what this chat has"), "\(wrong)")
        follower.cancel()
        tail.signal(SIGTERM)
        server.signal(SIGKILL)
    }

    /// A token ends while its stream is open, and the next one goes on.
    @Test func aTokenThatExpiresIsReplaced() async throws {
        let site = try await site(.embedded)
        let (server, client) = try await site.serve()
        let created = try await client.post("/applications", json: #"{"name":"test"}"#).json
        let token = try #require(created["token"] as? String)
        let application = try #require(created["id"] as? String)
        #expect(try await client.send("POST", "/applications/\(token)/chats").status == 201)
        let made = try await LuciqProcess.run(
            ["jwt-keys", "create", token, "--url", "http://127.0.0.1:\(site.port)"], in: folder)
        let (_, kid, secret) = try #require(try /kid:    (\S+)\nsecret: (\S+)\n/.wholeMatch(in: made.output)?.output)
        let asked = Mutex(0)
        let (folder, environment) = (folder, ["LUCIQ_JWT_SECRET": String(secret)])
        let chat = try site.chat(
            application,
            .token {
                let count = asked.withLock { count in
                    count += 1
                    return count
                }
                // The first one is no token.
                if count == 1 { return "a.b.c" }
                let arguments = ["token", application, "--kid", String(kid), "--user", "ann", "--ttl", "2"]
                return try await LuciqProcess.run(arguments, in: folder, environment: environment).output
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            })
        var ends = 0
        var state = ChatState()
        for try await update in chat.updates() {
            state.apply(update)
            if case .connected = update {
                if ends == 2 { break }
                try await chat.send("message \(ends)")
            }
            if case .lost(let failure, _) = update {
                #expect(failure.code == "token_expired", "\(failure)")
                ends += 1
            }
        }
        #expect(state.messages.map(\.body) == ["message 0", "message 1"])
        #expect(state.messages.allSatisfy { $0.sender == "ann" })
        let count = asked.withLock { $0 }
        #expect(count > 3)
        server.signal(SIGKILL)
    }
}

extension String {
    /// Whether a cursor's number is at least this.
    fileprivate func hasHead(_ count: Int) -> Bool { Int(split(separator: ".")[0]) ?? 0 >= count }
}
