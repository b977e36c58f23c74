import ChatCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct AppendTests {
    @Test(arguments: BackendKind.allCases)
    func oneBatchOverManyChats(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat()]
            let batch = try (0..<10).map { try test.new("m\($0)", in: chats[$0 % 2]) }
            let results = try await test.backend.chatLog.append(batch, at: TestBackend.time)
            #expect(try results.map { try $0.get().number.rawValue } == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
            #expect(results.allSatisfy { (try? $0.get().createdAt) == TestBackend.time })
            #expect(try await test.backend.messages.count(in: chats[0]) == 5)
            #expect(try await test.backend.tenants.messageCount(of: test.tenant) == 10)
            let message = try await test.backend.messages.message(Message.Number(3), in: chats[1])
            #expect(message == Message(number: Message.Number(3), body: "m5", createdAt: TestBackend.time))
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func numbersRiseFromBatchToBatch(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            for round in 0..<20 {
                let numbers = try await test.send((0...round).map(String.init), to: chat)
                let first = Int64(round * (round + 1) / 2)
                #expect(numbers == (1...Int64(round + 1)).map { first + $0 })
            }
            #expect(try await test.list(chat, Page(limit: 1000)).numbers == Array(1...210))
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aLargeBatch(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat(), try await test.makeChat()]
            let batch = try (0..<512).map { try test.new("\($0)", in: chats[$0 % 3]) }
            let results = try await test.backend.chatLog.append(batch, at: TestBackend.time)
            #expect(try results.map { try $0.get().number.rawValue } == (0..<512).map { Int64($0 / 3 + 1) })
            let last = try await test.backend.messages.message(Message.Number(170), in: chats[2])
            #expect(last?.body == "509")
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func textIsKeptByteForByte(_ kind: BackendKind) async throws {
        let bodies = [
            " leading and trailing ", "e\u{301} is not é", "👩‍👩‍👧‍👦 𝕳", "line\r\nline\ttab", "\\ ' \" % _ ; --", "{\"a\":1}",
            String(repeating: "x", count: 65_535), String(repeating: "😀", count: 16_383), "\u{FEFF}bom", "\u{10FFFF}",
        ]
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(bodies, to: chat)
            for (index, body) in bodies.enumerated() {
                let stored = try await test.backend.messages.message(Message.Number(Int64(index + 1)), in: chat)
                #expect(stored.map { Array($0.body.utf8) } == Array(body.utf8))
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aChatThatIsGoneFailsAlone(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let batch = try [
                test.new("lost", in: Chat.ID(987_654_321)), test.new("kept", in: chat),
                test.new("lost", in: Chat.ID(987_654_322)), test.new("kept", in: chat),
            ]
            let results = try await test.backend.chatLog.append(batch, at: TestBackend.time)
            #expect(results[0] == .failure(.notFound))
            #expect(results[2] == .failure(.notFound))
            #expect(try results[1].get().number == Message.Number(1))
            #expect(try results[3].get().number == Message.Number(2))
            #expect(try await test.backend.tenants.messageCount(of: test.tenant) == 2)
            #expect(try await test.verify().isClean)
        }
    }

    /// For a moment the clock is wrong by the given days: when the key arrives, when others do, or at the retry.
    @Test(arguments: BackendKind.allCases, [-365, 365] as [Int64])
    func aWrongClockForgetsNoKey(_ kind: BackendKind, _ days: Int64) async throws {
        let right = WallClock.system.now()
        let wrong = right.adding(.seconds(days * 86_400))
        for (first, between, last) in [(wrong, right, right), (right, wrong, right), (right, right, wrong)] {
            try await TestBackend.run(kind) { test in
                let chat = try await test.makeChat()
                func send(_ key: String, at time: Timestamp) async throws -> AppendedMessage {
                    try await test.backend.chatLog.append([test.new("hi", in: chat, key: key)], at: time)[0].get()
                }
                let sent = try await send("k", at: first)
                for other in ["l", "m"] { _ = try await send(other, at: between) }
                let again = try await send("k", at: last)
                #expect(again == AppendedMessage(number: sent.number, createdAt: first, isReplay: true))
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aSeenKeyAnswersTheFirstOutcome(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let (chat, other) = (try await test.makeChat(), try await test.makeChat())
            let log = test.backend.chatLog
            let first = try await log.append([test.new("hi", in: chat, key: "k")], at: TestBackend.time)[0].get()
            #expect(!first.isReplay)
            let later = TestBackend.time.adding(.seconds(3600))
            let batch = try [
                test.new("hi", in: chat, key: "k"), test.new("no key", in: chat), test.new("ho", in: chat, key: "k"),
                test.new("hi", in: other, key: "k"), test.new("hi", in: chat, key: "K"),
            ]
            let results = try await log.append(batch, at: later)
            let replay = AppendedMessage(number: first.number, createdAt: first.createdAt, isReplay: true)
            #expect(results[0] == .success(replay))
            #expect(try results[1].get().number == Message.Number(2))
            #expect(results[2] == .failure(.keyReused))
            #expect(
                try results[3].get() == AppendedMessage(number: Message.Number(1), createdAt: later, isReplay: false))
            // Keys are compared byte by byte.
            #expect(try results[4].get().number == Message.Number(3))
            #expect(try await test.backend.messages.count(in: chat) == 3)
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func settlingWhatIsThereAnswersIt(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["one", "two"], to: chat)
            try await test.backend.chatLog.settle(1...2, in: chat)
            #expect(try await test.list(chat).items.map(\.body) == ["one", "two"])
            #expect(try await test.backend.messages.count(in: chat) == 2)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func concurrentBatchesOfOneChat(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let numbers = try await withThrowingTaskGroup(of: [Int64].self) { tasks in
                for writer in 0..<4 {
                    tasks.addTask {
                        var numbers: [Int64] = []
                        for round in 0..<25 { numbers += try await test.send(["\(writer) \(round)", "x"], to: chat) }
                        return numbers
                    }
                }
                return try await tasks.reduce(into: []) { $0 += $1 }
            }
            #expect(numbers.sorted() == Array(1...200))
            #expect(try await test.backend.messages.count(in: chat) == 200)
            #expect(try await test.backend.tenants.messageCount(of: test.tenant) == 200)
            #expect(try await test.verify().isClean)
        }
    }
}
