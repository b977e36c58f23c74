import Synchronization
import TestSupport

/// 64 clients that write into the chats of one application, half of it into the first three. Each message is retried
/// with its idempotency key, on any server, until it is answered.
final class StreamWriters: Sendable {
    static let count = 64
    private static let deadline = Duration.seconds(60)

    private struct State {
        var answered: [Int: [Int: String]] = [:]
        var count = 0
        var failures = 0
        var problems: [String] = []
    }

    let total: Int
    private let application: String
    private let chats: Int
    private let ports: [Int]
    private let state = Mutex(State())

    /// - Parameters:
    ///   - total: messages, of all.
    ///   - ports: of servers and proxies, any of which will do.
    init(_ total: Int, to application: String, chats: Int, at ports: [Int]) {
        self.total = total
        self.application = application
        self.chats = chats
        self.ports = ports
    }

    /// Bodies by chat and number.
    var answered: [Int: [Int: String]] { state.withLock(\.answered) }
    /// Requests that were refused or had no answer.
    var failures: Int { state.withLock(\.failures) }
    var problems: [String] { state.withLock(\.problems) }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<Self.count {
                group.addTask {
                    var caller = Caller(ports: self.ports, patience: 5)
                    for index in stride(from: writer, to: self.total, by: Self.count) {
                        let round = index / Self.count
                        let chat = round % 2 == 0 ? (writer + round / 2) % 3 : (writer * 7 + round) % self.chats
                        try await self.post("w\(writer)-m\(round)", to: chat + 1, first: writer, &caller)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Writes one last message into each chat.
    func finish(_ body: String) async throws {
        var caller = Caller(ports: ports, patience: 5)
        for chat in 1...chats { try await post(body, to: chat, first: 0, &caller) }
    }

    /// Returns when that part of the messages, from 0 to 1, is answered.
    func reach(_ part: Double) async throws {
        let goal = Int(Double(total) * part)
        try await eventually("\(goal) messages are answered", within: 90) { state.withLock { $0.count >= goal } }
    }

    /// Returns when so many more are answered, or none is left.
    func see(answers: Int) async throws {
        let goal = min(state.withLock(\.count) + answers, total)
        try await eventually("\(goal) messages are answered", within: 60) { state.withLock { $0.count >= goal } }
    }

    private func post(_ body: String, to chat: Int, first: Int, _ caller: inout Caller) async throws {
        let until = ContinuousClock.now + Self.deadline
        var place = first
        while ContinuousClock.now < until {
            let answer = await caller.send(
                "POST", "\(application)/chats/\(chat)/messages", to: place, key: body, body: "{\"body\":\"\(body)\"}")
            if let answer, answer.status == 201, let number = answer.json["message_number"] as? Int {
                return state.withLock { state in
                    state.count += 1
                    let other = state.answered[chat, default: [:]].updateValue(body, forKey: number)
                    if let other { state.problems.append("\(chat)/\(number) was given to \(other) and \(body)") }
                }
            }
            if let answer, ![409, 502, 503, 504].contains(answer.status) {
                throw RawConnection.Failure(description: "\(body): \(answer.status) \(answer.text)")
            }
            state.withLock { $0.failures += 1 }
            place += 1
            try await Task.sleep(for: .milliseconds(20))
        }
        throw RawConnection.Failure(description: "\(body) is not answered after \(Self.deadline)")
    }
}
