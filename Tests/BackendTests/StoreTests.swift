import ChatCore
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2))) struct StoreTests {
    @Test(arguments: BackendKind.allCases)
    func tenants(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let stored = try #require(try await test.backend.tenants.tenant(test.tenant))
            #expect(stored.name == "test" && stored.token == test.token && stored.createdAt == TestBackend.time)
            #expect(try await test.backend.tenants.id(of: .random()) == nil)
            #expect(try await test.backend.tenants.tenant(Tenant.ID(987_654)) == nil)
            #expect(try await test.backend.tenants.messageCount(of: Tenant.ID(987_654)) == nil)
            let other = Tenant.Token.random()
            let results = try await test.backend.tenantLog.apply(
                [
                    .update(test.tenant, name: "Ω’s"), .update(Tenant.ID(987_654), name: "x"),
                    .create(name: "b", token: other),
                ],
                at: TestBackend.time)
            #expect(throws: Never.self) { try results[0].get() }
            #expect(throws: ChatError.notFound) { try results[1].get() }
            #expect(try await test.backend.tenants.tenant(test.tenant)?.name == "Ω’s")
            #expect(try await test.backend.tenants.id(of: other) != nil)
            // Repeating it changes nothing and is not an error.
            let again = try await test.backend.tenantLog.apply(
                [.update(test.tenant, name: "Ω’s")], at: TestBackend.time)
            #expect(throws: Never.self) { try again[0].get() }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func chatsAreNumberedWithinTheirTenant(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let token = Tenant.Token.random()
            _ = try await test.backend.tenantLog.apply([.create(name: "b", token: token)], at: TestBackend.time)
            let other = try #require(try await test.backend.tenants.id(of: token))
            let key = try IdempotencyKey("k", content: [])
            let batch = [
                NewChat(tenant: test.tenant), NewChat(tenant: other, key: key), NewChat(tenant: test.tenant, key: key),
                NewChat(tenant: Tenant.ID(987_654)),
            ]
            let results = try await test.backend.newChatLog.append(batch, at: TestBackend.time)
            #expect(try results[0..<3].map { try $0.get().number.rawValue } == [1, 1, 2])
            #expect(results[3] == .failure(.notFound))
            let replay = try await test.backend.newChatLog.append(
                [
                    NewChat(tenant: test.tenant, key: key),
                    NewChat(tenant: test.tenant, key: try IdempotencyKey("k", content: [1])),
                ], at: TestBackend.time)
            #expect(try replay[0].get().number == Chat.Number(2) && replay[0].get().isReplay)
            #expect(replay[1] == .failure(.keyReused))
            #expect(try await test.backend.tenants.tenant(test.tenant)?.chatsCount == 2)
            #expect(try await test.backend.chats.id(of: Chat.Number(3), in: test.tenant) == nil)
            #expect(try await test.backend.chats.id(of: Chat.Number(.max), in: test.tenant) == nil)
            #expect(try await test.backend.chats.chat(Chat.Number(2), in: other) == nil)
            let chat = Chat(number: Chat.Number(2), messagesCount: 0, createdAt: TestBackend.time)
            #expect(try await test.backend.chats.chat(Chat.Number(2), in: test.tenant) == chat)
            #expect(try await test.verify().isClean)
        }
    }

    @Test(arguments: BackendKind.allCases)
    func chatPagesAndTheirCounts(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            var ids: [Chat.ID] = []
            for _ in 0..<5 { ids.append(try await test.makeChat()) }
            try await test.send(["a", "b"], to: ids[2])
            let page = try await test.backend.chats.chats(in: test.tenant, page: Page(limit: 2, after: 1))
            #expect(page.items.map(\.number.rawValue) == [2, 3] && page.hasNext && page.hasPrevious)
            #expect(page.items.map(\.messagesCount) == [0, 2])
            #expect(try await test.backend.chats.chat(Chat.Number(3), in: test.tenant)?.messagesCount == 2)
        }
    }

    struct PageCase: Sendable {
        let page: Page
        let numbers: [Int64]
        let hasNext: Bool
        let hasPrevious: Bool
    }

    static let pages = [
        PageCase(page: Page(limit: 3), numbers: [1, 2, 3], hasNext: true, hasPrevious: false),
        PageCase(page: Page(limit: 10), numbers: Array(1...10), hasNext: false, hasPrevious: false),
        PageCase(page: Page(limit: 3, order: .desc), numbers: [10, 9, 8], hasNext: true, hasPrevious: false),
        PageCase(page: Page(limit: 3, after: 3), numbers: [4, 5, 6], hasNext: true, hasPrevious: true),
        PageCase(page: Page(limit: 3, after: 8), numbers: [9, 10], hasNext: false, hasPrevious: true),
        PageCase(page: Page(limit: 3, after: 10), numbers: [], hasNext: false, hasPrevious: true),
        PageCase(page: Page(limit: 3, after: .max), numbers: [], hasNext: false, hasPrevious: true),
        PageCase(page: Page(limit: 3, before: 5), numbers: [2, 3, 4], hasNext: true, hasPrevious: true),
        PageCase(page: Page(limit: 3, before: 5, order: .desc), numbers: [4, 3, 2], hasNext: true, hasPrevious: true),
        PageCase(page: Page(limit: 3, before: 1), numbers: [], hasNext: true, hasPrevious: false),
        PageCase(page: Page(limit: 3, after: 2, before: 9), numbers: [3, 4, 5], hasNext: true, hasPrevious: true),
        PageCase(page: Page(limit: 3, after: 0, before: 3), numbers: [1, 2], hasNext: false, hasPrevious: false),
    ]

    @Test(arguments: BackendKind.allCases)
    func messagePages(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let (chat, other) = (try await test.makeChat(), try await test.makeChat())
            try await test.send((1...10).map { "body \($0)" }, to: chat)
            try await test.send(["elsewhere"], to: other)
            for expected in Self.pages {
                let page = try await test.list(chat, expected.page)
                #expect(page.numbers == expected.numbers, "\(expected.page)")
                #expect(page.hasNext == expected.hasNext, "\(expected.page)")
                #expect(page.hasPrevious == expected.hasPrevious, "\(expected.page)")
                let found = try await test.backend.messages.search(
                    SearchQuery(SearchText("BODY")), in: chat, page: expected.page)
                #expect(found.numbers == expected.numbers, "search \(expected.page)")
                #expect(
                    found.hasNext == expected.hasNext && found.hasPrevious == expected.hasPrevious, "\(expected.page)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aPageOfLargeBodiesEndsEarly(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            let chat = try await test.makeChat()
            let body = String(repeating: "x", count: 65_535)
            for _ in 0..<4 { try await test.send(Array(repeating: body, count: 8), to: chat) }
            let page = try await test.list(chat)
            #expect((15...17).contains(page.items.count) && page.hasNext)
            let rest = try await test.list(chat, Page(after: page.numbers.last))
            #expect(page.numbers + rest.numbers == Array(1...32))
        }
    }

    @Test(arguments: BackendKind.allCases)
    func aSearchFindsWhatContainsItsText(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            for example in SearchCase.all {
                let chat = try await test.makeChat()
                try await test.send(example.found + example.missed, to: chat)
                let page = Page(limit: 1000)
                let found = try await test.backend.messages.search(
                    SearchQuery(SearchText(example.query)), in: chat, page: page)
                #expect(found.items.map(\.body) == example.found, "\(example)")
            }
        }
    }

    @Test(arguments: BackendKind.allCases)
    func theProbeAnswers(_ kind: BackendKind) async throws {
        try await TestBackend.run(kind) { test in
            try await test.backend.probe()
            let status = try await test.keeper.status()
            #expect(status.applications == 1 && status.pending.isEmpty)
        }
    }
}
