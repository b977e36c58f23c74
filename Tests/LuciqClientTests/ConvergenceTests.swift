import TestSupport
import Testing

@testable import LuciqClient

/// The rule for clients, and its proof: whatever is lost, repeated or late, a client ends in the state of a reload.
@Suite(.timeLimit(.minutes(5))) struct ConvergenceTests {
    @Test(arguments: 0..<8) func endsInTheStateOfAReload(_ part: UInt64) {
        for seed in part * 50 + 1...part * 50 + 50 { run(seed) }
    }

    /// Also when changes that were put aside had to be dropped.
    @Test func whatIsPutAsideIsBounded() {
        for seed in UInt64(1)...100 { run(seed, aside: 2) }
    }

    private func run(_ seed: UInt64, aside most: Int = Aside.most) {
        var random = SeededRandom(seed: seed)
        let chat = ModelChat()
        for _ in 0..<Int.random(in: 0..<30, using: &random) { operate(chat, &random) }
        var client = ModelClient(chat, aside: most)
        for _ in 0..<300 {
            if Int.random(in: 0..<10, using: &random) < 3 { operate(chat, &random) }
            client.step(&random)
        }
        for number in chat.late { chat.settle(number, isStored: true) }
        client.finish()
        var fresh = ChatState()
        fresh.load(chat.page(limit: .max))
        let state = client.state
        #expect(state.cursor == fresh.cursor && state.head == fresh.head, "seed \(seed)")
        let expected = fresh.messages.filter { $0.number >= state.first }
        #expect(state.messages == expected, "seed \(seed)")
    }

    private func operate(_ chat: ModelChat, _ random: inout SeededRandom) {
        let number = Int64.random(in: 1...max(1, chat.given), using: &random)
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<3: chat.create(isLate: Int.random(in: 0..<5, using: &random) == 0)
        case 3: chat.create(isLate: false, thread: number)
        case 4..<7: chat.edit(number)
        case 7..<9: chat.react(number)
        case 9: if Bool.random(using: &random) { chat.delete(number) }
        default:
            guard let late = chat.late.sorted().randomElement(using: &random) else { return }
            chat.settle(late, isStored: Int.random(in: 0..<10, using: &random) < 7)
        }
    }
}

/// A client, and the network between it and a chat.
private struct ModelClient {
    private(set) var state = ChatState()
    private let chat: ModelChat
    /// A subscription: where it is, and what is on its way.
    private var position = ModelChat.Position(number: 0, revision: 0)
    private var events: [ChatEvent] = []
    /// Answers on their way.
    private var pages: [ChatPage] = []
    /// What may come again.
    private var seen: [ChatEvent] = []

    init(_ chat: ModelChat, aside most: Int) {
        self.chat = chat
        state = ChatState(asideAtMost: most)
        state.load(chat.page(limit: 5))
        connect()
    }

    /// Whatever was on its way is lost.
    private mutating func connect() {
        let cursor = ChatCursor(state.cursor ?? "0.0")!
        position = .init(number: cursor.number, revision: cursor.revision ?? 0)
        events = []
        flow()
    }

    private mutating func flow() {
        let (new, end) = chat.events(after: position)
        events += new
        position = end
    }

    mutating func step(_ random: inout SeededRandom) {
        flow()
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<11 where !events.isEmpty:
            let event = events.removeFirst()
            seen.append(event)
            state.apply(event)
        case 11..<13 where !pages.isEmpty: state.merge(pages.remove(at: .random(in: 0..<pages.count, using: &random)))
        case 13..<15: pages.append(chat.page(before: state.first, limit: .random(in: 1...5, using: &random)))
        case 15: if let event = seen.randomElement(using: &random) { state.apply(event) }
        case 16: connect()
        case 17: if Bool.random(using: &random) { state.trim(to: .random(in: 3..<23, using: &random)) }
        default: break
        }
    }

    mutating func finish() {
        for page in pages { state.merge(page) }
        connect()
        for event in events { state.apply(event) }
        state.apply(ChatEvent(type: "cursor", cursor: chat.cursor, content: .other))
    }
}
