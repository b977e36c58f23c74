import ChatCore
import TestSupport
import Testing

/// Many writers and many readers, which connect and disconnect at random.
@Suite(.timeLimit(.minutes(3))) struct StreamLoadTests {
    @Test(arguments: BackendKind.allCases)
    func everyReaderGetsEverything(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat()]
            try await test.withHub { hub in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            for round in 0..<40 {
                                let chat = chats[(writer + round) % 2]
                                try await test.send((0...round % 7).map { "\(writer) \(round) \($0)" }, to: chat)
                            }
                        }
                    }
                    for reader in 0..<24 {
                        group.addTask { try await Self.read(chats[reader % 2], hub, test, restarts: reader % 3) }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(try await test.verify().isClean)
        }
    }

    /// Reads everything from the start, and now and then starts again from its cursor.
    private static func read(_ chat: Chat.ID, _ hub: Hub, _ test: TestBackend, restarts: Int) async throws {
        // Each round goes to one chat of four writers, and to the other one of the other four.
        let expected = 4 * (0..<40).reduce(0) { $0 + $1 % 7 + 1 }
        var (cursor, messages): (Int64, [Message]) = (0, [])
        while messages.count < expected {
            let subscription = try await hub.subscribe(to: chat, after: cursor)
            var pages = 0
            while messages.count < expected, restarts == 0 || pages < 3 * restarts {
                messages += try await subscription.next().messages
                cursor = messages.last?.number.rawValue ?? cursor
                pages += 1
            }
        }
        var stored: [Message] = []
        while true {
            let page = try await test.list(chat, Page(limit: 1000, after: stored.last?.number.rawValue ?? 0))
            stored += page.items
            if !page.hasNext { break }
        }
        #expect(messages == stored)
    }
}
