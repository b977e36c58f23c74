import ChatCore
import TestSupport
import Testing

/// Readers with a stored cursor get everything at least once and in order, whatever happens to them.
@Suite(.timeLimit(.minutes(3))) struct LogReaderTests {
    private static let reader: LogReader.Name = "webhooks"

    /// What a reader was given, in each chat.
    private actor Given {
        private(set) var numbers: [Chat.ID: [Int64]] = [:]

        func take(_ chat: Chat.ID, _ messages: [Message]) {
            numbers[chat, default: []] += messages.map(\.number.rawValue)
        }

        func clear() { numbers = [:] }
    }

    private struct Killed: Error {}

    @Test(arguments: BackendKind.allCases)
    func aCursorIsComparedAndSet(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let (readers, chats) = (test.backend.readers, [try await test.makeChat(), try await test.makeChat()])
            #expect(try await readers.cursors(of: Self.reader, in: chats) == [:])
            #expect(try await readers.advance(Self.reader, in: chats[0], from: 0, to: 5))
            #expect(try await !readers.advance(Self.reader, in: chats[0], from: 0, to: 4))
            #expect(try await !readers.advance(Self.reader, in: chats[0], from: 4, to: 6))
            #expect(try await !readers.advance(Self.reader, in: chats[1], from: 4, to: 6))
            #expect(try await readers.advance(Self.reader, in: chats[0], from: 5, to: 7))
            #expect(try await readers.advance("export", in: chats[0], from: 0, to: 1))
            #expect(try await readers.cursors(of: Self.reader, in: chats) == [chats[0]: 7])
            #expect(try await readers.cursors(of: "export", in: chats) == [chats[0]: 1])
            #expect(try await readers.cursors(of: Self.reader, in: []) == [:])
        }
    }

    /// Of many concurrent callers one moves the cursor.
    @Test(arguments: BackendKind.allCases)
    func oneOfManyMovesACursor(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            for (old, new) in [(0, 3), (3, 4)] as [(Int64, Int64)] {
                let moved = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                    for _ in 0..<12 {
                        tasks.addTask {
                            try await test.backend.readers.advance(Self.reader, in: chat, from: old, to: new)
                        }
                    }
                    return try await tasks.reduce(into: 0) { $0 += $1 ? 1 : 0 }
                }
                #expect(moved == 1)
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aSweepGivesWhatIsNew(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat(), try await test.makeChat()]
            let (reader, other) = (LogReader(Self.reader, test.backend), LogReader("export", test.backend))
            let given = Given()
            try await test.send(["a", "b"], to: chats[0])
            try await test.send(Array(repeating: "c", count: 300), to: chats[1])
            try await reader.sweep { await given.take($0, $1) }
            #expect(await given.numbers == [chats[0]: [1, 2], chats[1]: Array(1...300)])
            await given.clear()
            try await reader.sweep { await given.take($0, $1) }
            #expect(await given.numbers == [:])
            try await test.send(["d"], to: chats[1])
            try await test.send(["e"], to: chats[2])
            try await reader.read(chats[2]) { await given.take($0, $1) }
            try await reader.sweep { await given.take($0, $1) }
            #expect(await given.numbers == [chats[1]: [301], chats[2]: [1]])
            await given.clear()
            try await other.sweep { await given.take($0, $1) }
            #expect(await given.numbers == [chats[0]: [1, 2], chats[1]: Array(1...301), chats[2]: [1]])
        }
    }

    /// A walk over more chats than a page has.
    @Test(arguments: BackendKind.allCases)
    func allChatsAreLookedAt(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let new = Array(repeating: NewChat(tenant: test.tenant), count: 600)
            let numbers = try await test.backend.newChatLog.append(new, at: TestBackend.time).map {
                try $0.get().number
            }
            var chats: [Chat.ID] = []
            for number in numbers {
                chats.append(try #require(try await test.backend.chats.id(of: number, in: test.tenant)))
            }
            let messages = try chats.map { try test.new("m", in: $0) }
            for result in try await test.backend.chatLog.append(messages, at: TestBackend.time) {
                _ = try result.get()
            }
            let given = Given()
            let reader = LogReader(Self.reader, test.backend)
            try await reader.sweep { await given.take($0, $1) }
            #expect(await given.numbers == Dictionary(uniqueKeysWithValues: chats.map { ($0, [1]) }))
            await given.clear()
            try await reader.sweep { await given.take($0, $1) }
            #expect(await given.numbers == [:])
        }
    }

    /// A reader that dies at any point, before or after it has processed its entries, between writes of all kinds.
    @Test(arguments: BackendKind.allCases, 1...4)
    func aReaderThatDiesMissesNothing(_ kind: BackendKind, _ seed: Int) async throws {
        try await TestBackend.run(kind) { test in
            var random = SeededRandom(seed: UInt64(seed))
            var chats: [Chat.ID] = []
            for _ in 0..<4 { chats.append(try await test.makeChat()) }
            var stored: [Chat.ID: [Int64]] = [:]
            let given = Given()
            let reader = LogReader(Self.reader, test.backend)
            for round in 0..<40 {
                let chat = chats[Int.random(in: 0..<4, using: &random)]
                let count = Int.random(in: 1...(round % 8 == 0 ? 400 : 5), using: &random)
                stored[chat, default: []] += try await test.send((0..<count).map { "\($0)" }, to: chat)
                // On the embedded backend nothing is ever missing, and nothing void.
                if kind == .cluster, Bool.random(using: &random), let last = stored[chat]?.last {
                    try await test.backend.chatLog.settle(last + 1...last + 1, in: chat)
                }
                let (calls, isDealtWith) = (Int.random(in: 1...4, using: &random), Bool.random(using: &random))
                var left = calls
                do {
                    try await reader.sweep { chat, messages in
                        left -= 1
                        if left > 0 || isDealtWith { await given.take(chat, messages) }
                        if left == 0 { throw Killed() }
                    }
                } catch is Killed {}
            }
            try await reader.sweep { await given.take($0, $1) }
            for chat in chats {
                let (numbers, all) = (await given.numbers[chat] ?? [], stored[chat] ?? [])
                #expect(Set(numbers) == Set(all))
                // No number came before all lower ones; earlier ones may come again.
                var next = 0
                for number in numbers {
                    if next < all.count, number == all[next] {
                        next += 1
                    } else {
                        #expect(next > 0 && number <= all[next - 1])
                    }
                }
                #expect(next == all.count)
            }
        }
    }

    /// Two processes under one name deliver everything once or twice, and both finish.
    @Test(arguments: BackendKind.allCases)
    func twoUnderOneName(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat()]
            for chat in chats { try await test.send(Array(repeating: "m", count: 600), to: chat) }
            let given = Given()
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 0..<4 {
                    tasks.addTask { try await LogReader(Self.reader, test.backend).sweep { await given.take($0, $1) } }
                }
                try await tasks.waitForAll()
            }
            for chat in chats { #expect(await Set(given.numbers[chat] ?? []) == Set(1...600)) }
            #expect(
                try await test.backend.readers.cursors(of: Self.reader, in: chats) == [chats[0]: 600, chats[1]: 600])
        }
    }
}
