import ChatCore
import Foundation
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct StreamTests {
    @Test(arguments: BackendKind.allCases)
    func startsWithTheNextMessage(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.send(["one", "two"], to: chat)
            try await test.withHub { hub in
                let subscription = try await hub.subscribe(to: chat, after: nil)
                #expect(subscription.cursor.number == 2)
                try await test.send(["three", "four"], to: chat, at: TestBackend.time)
                let messages = try await subscription.take(2)
                #expect(messages.map(\.body) == ["three", "four"])
                #expect(messages.map(\.number.rawValue) == [3, 4])
                #expect(messages.map(\.createdAt) == [TestBackend.time, TestBackend.time])
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func startsAfterACursor(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let (chat, other) = (try await test.makeChat(), try await test.makeChat())
            try await test.send((1...5).map(String.init), to: chat)
            try await test.withHub { hub in
                for cursor in [0, 3, 5, 7, .max] as [Int64] {
                    let subscription = try await hub.subscribe(to: chat, after: cursor)
                    #expect(subscription.cursor.number == cursor)
                }
                let all = try await hub.subscribe(to: chat, after: 0)
                let some = try await hub.subscribe(to: chat, after: 3)
                let future = try await hub.subscribe(to: chat, after: 7)
                try await test.send(["other chat"], to: other)
                try await test.send(["6", "7", "8"], to: chat)
                #expect(try await all.take(8).map(\.body) == (1...8).map(String.init))
                #expect(try await some.take(5).map(\.body) == (4...8).map(String.init))
                #expect(try await future.take(1).map(\.body) == ["8"])
            }
        }
    }

    /// Pages end where they must, and the switch from the store to live messages loses and repeats nothing.
    @Test(arguments: BackendKind.allCases)
    func catchesUpWhileOthersWrite(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            for start in stride(from: 0, to: 3000, by: 500) {
                try await test.send((start..<start + 500).map { "m\($0 + 1)" }, to: chat)
            }
            try await test.withHub { hub in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        for start in 3000..<3500 { try await test.send(["m\(start + 1)"], to: chat) }
                    }
                    for cursor in [0, 1, 500, 2999, 3000, 3100, nil] as [Int64?] {
                        group.addTask {
                            let subscription = try await hub.subscribe(to: chat, after: cursor)
                            var numbers: [Int64] = []
                            while numbers.last != 3500, subscription.cursor.number < 3500 {
                                let page = try await subscription.next().messages
                                #expect((1...256).contains(page.count))
                                #expect(page.allSatisfy { $0.body == "m\($0.number.rawValue)" })
                                numbers += page.map(\.number.rawValue)
                            }
                            #expect(numbers == Array(subscription.cursor.number + 1..<3501))
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func largeMessagesMakeSmallPages(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let body = String(repeating: "x", count: 60_000)
            for _ in 0..<3 { try await test.send(Array(repeating: body, count: 15), to: chat) }
            try await test.withHub { hub in
                let subscription = try await hub.subscribe(to: chat, after: 0)
                var (count, pages) = (0, 0)
                while count < 45 {
                    let page = try await subscription.next().messages
                    #expect(page.count <= 19)
                    count += page.count
                    pages += 1
                }
                #expect(pages >= 3)
            }
        }
    }

    /// Readers that take a page from the store and then stop cannot fill the memory.
    @Test(arguments: BackendKind.allCases)
    func pagesAreSmallWhileMuchIsInHand(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let otherChat = try await test.makeChat()
            for chat in [chat, otherChat] { try await test.send((1...40).map { "\($0)" }, to: chat) }
            var limits = StreamLimits()
            limits.page = .init(messages: 10, bytes: 1 << 20)
            limits.smallWindow = .init(messages: 2, bytes: 1 << 20)
            // A page of ten takes a seventh of it.
            limits.pagesBytes = 12_000
            try await test.withHub(limits) { hub in
                let first = try await hub.subscribe(to: chat, after: 0)
                do {
                    #expect(try await first.next().count == 10)
                    let second = try await hub.subscribe(to: chat, after: 0)
                    #expect(try await second.next().count == 2)
                    #expect(try await second.next().count == 2)
                    // The reader has released the previous page when it asks for another.
                    #expect(try await first.next().count == 10)
                }
                first.cancel()
                let third = try await hub.subscribe(to: chat, after: 30)
                #expect(try await third.next().count == 2)
                guard case .ended = first.take(orWake: {}) else {
                    Issue.record("it is not over")
                    return
                }
                let fourth = try await hub.subscribe(to: chat, after: 20)
                #expect(try await fourth.next().count == 10)
                // It costs other readers nothing.
                let other = try await hub.subscribe(to: otherChat, of: Tenant.ID(2), after: Cursor(0))
                let fifth = try await hub.subscribe(to: chat, after: 0)
                #expect(try await fifth.next().count == 2)
                #expect(try await other.next().count == 10)
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aRetryIsNotToldOfAgain(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            try await test.withHub { hub in
                let subscription = try await hub.subscribe(to: chat, after: nil)
                for body in ["a", "a", "b"] {
                    _ = try await test.backend.chatLog.append(
                        [test.new(body, in: chat, key: body)], at: TestBackend.time)[0].get()
                }
                #expect(try await subscription.take(2).map(\.body) == ["a", "b"])
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aSlowReaderIsEndedAndGoesOnFromItsCursor(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            var limits = StreamLimits()
            limits.window = .init(messages: 10, bytes: 1 << 20)
            limits.smallWindow = .init(messages: 1, bytes: 1)
            try await test.withHub(limits) { hub in
                let slow = try await hub.subscribe(to: chat, after: nil)
                let quick = try await hub.subscribe(to: chat, after: nil)
                try await test.send(["1"], to: chat)
                #expect(try await slow.next().messages.map(\.number.rawValue) == [1])
                var numbers: [Int64] = []
                for number in 1...20 {
                    if number > 1 { try await test.send(["\(number)"], to: chat) }
                    numbers += try await quick.next().messages.map(\.number.rawValue)
                }
                #expect(numbers == Array(1...20))
                for _ in 0..<2 { await #expect(throws: StreamEnd.slowConsumer) { try await slow.next() } }
                let again = try await hub.subscribe(to: chat, after: 1)
                #expect(try await again.take(19).map(\.number.rawValue) == Array(2...20))
            }
        }
    }
}
