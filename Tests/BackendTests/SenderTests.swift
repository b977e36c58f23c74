import Testing

@testable import ChatCore

/// The sender of a message, from its create to every reader.
@Suite(.timeLimit(.minutes(2))) struct SenderTests {
    private static let ada = User.ID("Ada\u{301}")!
    private static let bob = User.ID("bob")!

    @Test(arguments: BackendKind.allCases)
    func everyReadHasTheSender(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let contents = [
                MessageContent(body: "from Ada", sender: Self.ada), MessageContent(body: "from nobody"),
            ]
            try await test.withHub { hub in
                let live = try await hub.subscribe(to: chat, after: 0)
                try await Self.send(contents, to: chat, test)
                #expect(try await live.take(2).map(\.content) == contents)
                let late = try await hub.subscribe(to: chat, after: 0)
                #expect(try await late.take(2).map(\.content) == contents)
            }
            #expect(try await test.list(chat).items.map(\.content) == contents)
            #expect(try await test.backend.messages.message(Message.Number(1), in: chat)?.content == contents[0])
            let found = try await test.backend.messages.search(
                SearchQuery(SearchText("ADA")), in: chat, page: Page())
            #expect(found.items.map(\.content) == [contents[0]])
        }
    }

    /// In a chat and in all of them, by rows and by blocks: blocks know no senders.
    @Test(arguments: BackendKind.allCases)
    func aSearchFindsMessagesOfOneSender(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chats = [try await test.makeChat(), try await test.makeChat()]
            for chat in chats {
                try await Self.send(
                    (1...600).map { number in
                        let sender = number.isMultiple(of: 100) ? Self.ada : number.isMultiple(of: 7) ? nil : Self.bob
                        return MessageContent(body: "needle \(number)", sender: sender)
                    }, to: chat, test)
            }
            let query = SearchQuery(try SearchText("needle"), sender: Self.ada)
            func check(_ comment: Comment) async throws {
                let messages = test.backend.messages
                let inChat = try await messages.search(query, in: chats[0], page: Page(limit: 4))
                #expect(inChat.items.map(\.number.rawValue) == [100, 200, 300, 400] && inChat.hasNext, comment)
                let back = try await messages.search(query, in: chats[0], page: Page(limit: 4, before: 301))
                #expect(back.items.map(\.number.rawValue) == [100, 200, 300] && !back.hasPrevious, comment)
                var page = TenantSearchPage(limit: 5)
                var places: [SearchPlace] = []
                while true {
                    let found = try await messages.search(query, in: test.tenant, page: page)
                    places += found.hits.map(\.place)
                    #expect(found.hits.allSatisfy { $0.message.content.sender == Self.ada }, comment)
                    guard found.hasMore, let last = found.hits.last else { break }
                    page.before = last.place
                }
                #expect(places.count == 12 && places == places.sorted(by: >) && Set(places).count == 12, comment)
            }
            try await check("by rows")
            var limits = SearchIndexLimits()
            limits.smallest = 1
            let indexer = try SearchBlockTests.indexer(test, limits)
            for _ in 0..<2 { try await indexer.walk() }
            #expect(try await test.backend.searchIndex.heads(of: chats)[chats[0]]?.indexedTo == 600)
            try await check("by blocks")
        }
    }

    /// Also where the database's own comparison would not: it ignores spaces at the end.
    @Test(arguments: BackendKind.allCases)
    func sendersAreToldApartByTheirBytes(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let senders = ["u", "u ", "u  ", " u", "U", "\u{E9}", "e\u{301}"].map { User.ID($0)! }
            try await Self.send(senders.map { MessageContent(body: "needle", sender: $0) }, to: chat, test)
            for (index, sender) in senders.enumerated() {
                let query = SearchQuery(try SearchText("needle"), sender: sender)
                let found = try await test.backend.messages.search(query, in: chat, page: Page())
                #expect(found.items.map(\.number.rawValue) == [Int64(index + 1)], "\(sender)")
                #expect(found.items.map(\.content.sender) == [sender], "\(sender)")
            }
        }
    }

    /// Servers of the version before compare what their clients' keys were for.
    @Test func theFingerprintOfAMessageWithoutASenderStays() {
        #expect(MessageContent(body: "hi", sender: Self.bob).size == 5)
        #expect(MessageContent(body: "hi").fingerprinted == Array("hi".utf8))
        #expect(MessageContent(body: "hi", sender: Self.bob).fingerprinted == Array("hi\0bob".utf8))
    }

    private static func send(_ contents: [MessageContent], to chat: Chat.ID, _ test: TestBackend) async throws {
        let batch = contents.map { NewMessage(tenant: test.tenant, chat: chat, content: $0) }
        for result in try await test.backend.chatLog.append(batch, at: TestBackend.time) { _ = try result.get() }
    }
}
