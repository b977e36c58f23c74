import Synchronization
import TestSupport

/// 64 clients that write into many chats through all servers, half of them into the first chat, and make chats meanwhile.
/// Each request is sent again with its idempotency key, to one server after the other, until it is answered.
final class Load: Sendable {
    static let writers = 64
    /// How long a request may take with all its repetitions.
    private static let deadline = Duration.seconds(45)

    /// The answer to a request, wherever it came from.
    struct Outcome: Sendable {
        /// The path of the chat or application that it was sent to.
        let owner: String
        let key: String
        let number: Int
        /// The server that answered.
        let node: Int
    }

    private struct State {
        var messagesPerWriter: Int
        var messages: [Outcome] = []
        var chats: [Outcome] = []
        /// Requests that were refused or had no answer.
        var failures = 0
        var replays = 0
        var problems: [String] = []
        var isOver = false
    }

    let cluster: Cluster
    let application: String
    /// Paths.
    let chats: [String]
    /// Bytes that each body is filled up to.
    let bodySize: Int
    /// How long a writer waits for an answer, in seconds.
    private let patience: Int
    private let state: Mutex<State>

    init(
        on cluster: Cluster, chats count: Int = 20, messagesPerWriter: Int = 40, bodySize: Int = 0,
        patience: Int = 10
    ) async throws {
        self.cluster = cluster
        self.state = Mutex(State(messagesPerWriter: messagesPerWriter))
        self.bodySize = bodySize
        self.patience = patience
        let client = cluster.nodes[0].client
        application = try await client.makeApplication()
        var chats: [String] = []
        for _ in 0..<count {
            let answer = try await client.send("POST", application + "/chats")
            guard let path = answer["Location"] else { throw RawConnection.Failure(description: answer.text) }
            chats.append(path)
        }
        self.chats = chats
    }

    var total: Int { Self.writers * state.withLock(\.messagesPerWriter) }
    var messages: [Outcome] { state.withLock(\.messages) }
    var madeChats: [Outcome] { state.withLock(\.chats) }
    var failures: Int { state.withLock(\.failures) }
    var replays: Int { state.withLock(\.replays) }
    /// Answers that were wrong when they came.
    var problems: [String] { state.withLock(\.problems) }

    /// Writes it all.
    ///
    /// - Throws: `RawConnection.Failure` when a request is not answered by its deadline, or with another status than
    ///   201 and those that mean "again".
    func run() async throws { try await write(0..<state.withLock(\.messagesPerWriter)) }

    /// Goes on after `run` with so many messages a writer.
    func run(more count: Int) async throws {
        let start = state.withLock { state in
            defer { state.messagesPerWriter += count }
            return state.messagesPerWriter
        }
        try await write(start..<start + count)
    }

    private func write(_ indices: Range<Int>) async throws {
        state.withLock { $0.isOver = false }
        defer { state.withLock { $0.isOver = true } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<Self.writers { group.addTask { try await self.write(indices, by: writer) } }
            try await group.waitForAll()
        }
    }

    /// Returns when that part of the messages, from 0 to 1, is answered.
    func reach(_ part: Double) async throws {
        let goal = Int(Double(total) * part)
        try await wait("\(goal) messages are answered") { $0.messages.count >= goal }
    }

    /// Returns when so many more messages are answered, or requests were refused or lost.
    func see(answers: Int = 0, failures: Int = 0) async throws {
        let before = state.withLock { ($0.messages.count, $0.failures) }
        try await wait("\(answers) more answers, \(failures) more failures") {
            $0.messages.count >= before.0 + answers && $0.failures >= before.1 + failures
        }
    }

    private func wait(_ what: String, until isTrue: @Sendable (borrowing State) -> Bool) async throws {
        try await eventually(what, within: 40) { state.withLock { $0.isOver || isTrue($0) } }
    }

    func body(_ key: String) -> String { key + String(repeating: ".", count: max(0, bodySize - key.utf8.count)) }

    private func write(_ indices: Range<Int>, by writer: Int) async throws {
        var caller = Caller(cluster.nodes, patience: patience)
        for index in indices {
            let key = "w\(writer)-m\(index)"
            let chat = index % 2 == 0 ? chats[0] : chats[(writer + index) % chats.count]
            let outcome = try await post(key, to: chat, at: writer + index, &caller)
            state.withLock { $0.messages.append(outcome) }
            if index % 8 == writer % 8 { try await replay(outcome, &caller) }
            if index % 16 == writer % 16 {
                let outcome = try await post(key, to: application, at: writer + index, &caller)
                state.withLock { $0.chats.append(outcome) }
            }
        }
    }

    /// Sends it to another server once more: that must answer what the first did.
    private func replay(_ first: Outcome, _ caller: inout Caller) async throws {
        let again = try await post(first.key, to: first.owner, at: first.node + 1, &caller) { answer in
            guard answer["Idempotent-Replayed"] != "true" else { return }
            self.state.withLock { $0.problems.append("\(first.key) was not answered as a replay") }
        }
        state.withLock { state in
            state.replays += 1
            guard again.number != first.number else { return }
            state.problems.append("\(first.key) was answered with \(first.number), then with \(again.number)")
        }
    }

    /// - Parameters:
    ///   - owner: a chat's path for a message, an application's for a chat.
    ///   - look: sees the answer.
    private func post(
        _ key: String, to owner: String, at first: Int, _ caller: inout Caller, look: (Answer) -> Void = { _ in }
    ) async throws -> Outcome {
        let isMessage = owner != application
        let path = owner + (isMessage ? "/messages" : "/chats")
        let body = isMessage ? "{\"body\":\"\(self.body(key))\"}" : nil
        let until = ContinuousClock.now + Self.deadline
        var node = first
        while ContinuousClock.now < until {
            let answer = await caller.send("POST", path, to: node, key: key, body: body)
            if let answer, answer.status == 201 {
                look(answer)
                guard let number = answer.json[isMessage ? "message_number" : "chat_number"] as? Int else { break }
                return Outcome(owner: owner, key: key, number: number, node: node)
            }
            if let answer, answer.status != 503, answer.status != 409 {
                throw RawConnection.Failure(description: "\(key): \(answer.status) \(answer.text)")
            }
            state.withLock { $0.failures += 1 }
            if answer == nil { node += 1 }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw RawConnection.Failure(description: "\(key) is not answered after \(Self.deadline)")
    }
}
