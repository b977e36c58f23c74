import ChatCore
import Logging
import Metrics
import Synchronization
import Testing

/// In the middle of a read another server replaces the one that gave the ids. There the same ids belong to another
/// tenant, and the reading tenant has other ids.
@Suite(.timeLimit(.minutes(1))) struct EpochTests {
    struct Read: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// - Returns: the texts that it was shown.
        let run: @Sendable (ChatScope) async throws -> [String]

        init(_ name: String, _ run: @escaping @Sendable (ChatScope) async throws -> [String]) {
            self.testDescription = name
            self.run = run
        }
    }

    @Test(arguments: [
        Read("message") { [try await $0.message("1").body] },
        Read("messages") { try await $0.messages(Page(limit: 10)).items.map(\.body) },
        Read("search") {
            let query = SearchQuery(try SearchText("e"))
            return try await $0.search(query, Page(limit: 10), from: .unspecified).page.items.map(\.body)
        },
        Read("count") { try await $0.messageCount() == 1 ? ["mine"] : [] },
        Read("chat") { try await $0.details().messagesCount == 1 ? ["mine"] : [] },
        Read("tenant") { [try await $0.tenant.details().name] },
        Read("tenant's count") { try await $0.tenant.messageCount() == 1 ? ["mine"] : [] },
        Read("chats") { try await $0.tenant.chats(Page(limit: 10)).items.map { $0.messagesCount == 1 ? "mine" : "" } },
        Read("a chat by its number") { [try await $0.tenant.chat("1").message("1").body] },
        Read("stream") { try await $0.subscribe(after: Cursor(0)).next().messages.map(\.body) },
    ])
    func aReadIsDoneAgain(_ read: Read) async throws {
        try await run { service, servers, token in
            let chat = try await service.access(Credentials(application: token[...])).tenant.chat("1")
            #expect(try await chat.message("1").body == "mine")
            servers.moveAtNextRead()
            #expect(try await read.run(chat) == ["mine"])
        }
    }

    @Test func streamsAreEnded() async throws {
        try await run { service, servers, token in
            let chat = try await service.access(Credentials(application: token[...])).tenant.chat("1")
            let behind = try await chat.subscribe(after: Cursor(0))
            servers.moveAtNextRead()
            await #expect(throws: StreamEnd.goingAway) { try await behind.next() }
            #expect(try await chat.subscribe(after: Cursor(0)).next().messages.map(\.body) == ["mine"])
        }
    }

    /// The same tenant has id 1 on the first server and 2 on the second, where 1 is another's.
    private func run(
        _ body: @Sendable (_ service: ChatService, _ servers: TwoServers, _ token: String) async throws -> Void
    ) async throws {
        try await TestBackend.run(.sqlite) { first in
            try await TestBackend.run(.sqlite) { second in
                let (mine, name) = (first.token, "mine")
                _ = try await first.backend.tenantLog.apply([.update(first.tenant, name: name)], at: TestBackend.time)
                try await Self.fill(first.backend, first.tenant, ["mine"])
                try await Self.fill(second.backend, second.tenant, ["theirs", "theirs"])
                _ = try await second.backend.tenantLog.apply([.create(name: name, token: mine)], at: TestBackend.time)
                let tenant = try #require(await second.backend.tenants.id(of: mine))
                try await Self.fill(second.backend, tenant, ["mine"])
                #expect(first.tenant == second.tenant)
                let servers = TwoServers(first.backend, second.backend)
                let service = ChatService(
                    backend: servers.backend, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                    metrics: NOOPMetricsHandler.instance)
                try await body(service, servers, mine.text)
            }
        }
    }

    private static func fill(_ backend: Backend, _ tenant: Tenant.ID, _ bodies: [String]) async throws {
        let number = try await backend.newChatLog.append([NewChat(tenant: tenant)], at: TestBackend.time)[0].get()
            .number
        let chat = try #require(await backend.chats.id(of: number, in: tenant))
        _ = try await backend.chatLog.append(
            bodies.map { NewMessage(tenant: tenant, chat: chat, body: $0) }, at: TestBackend.time)
    }
}

/// Reads go to the first until they are moved to the second.
private final class TwoServers: TenantStore, ChatStore, MessageStore {
    private let first: Backend
    private let second: Backend
    private let epoch = Atomic<UInt64>(0)
    private let moves = Atomic(false)

    init(_ first: Backend, _ second: Backend) {
        self.first = first
        self.second = second
    }

    /// The second server carries out the next read, with ids that were looked up on the first.
    func moveAtNextRead() { moves.store(true, ordering: .relaxed) }

    var backend: Backend {
        var backend = first
        backend.tenants = self
        backend.chats = self
        backend.messages = self
        backend.epoch = { self.epoch.load(ordering: .relaxed) }
        return backend
    }

    private var server: Backend {
        if moves.exchange(false, ordering: .relaxed) { epoch.store(1, ordering: .relaxed) }
        return epoch.load(ordering: .relaxed) == 0 ? first : second
    }

    func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try await server.tenants.identity(of: name)
    }
    func tenants(after id: Tenant.PublicID?, limit: Int) async throws -> (tenants: [Tenant], hasMore: Bool)? {
        try await server.tenants.tenants(after: id, limit: limit)
    }
    func tenant(_ id: Tenant.ID) async throws -> Tenant? { try await server.tenants.tenant(id) }
    func messageCount(of id: Tenant.ID) async throws -> Int64? { try await server.tenants.messageCount(of: id) }
    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID? {
        try await server.chats.id(of: number, in: tenant)
    }
    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat? {
        try await server.chats.chat(number, in: tenant)
    }
    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat> {
        try await server.chats.chats(in: tenant, page: page)
    }
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await server.messages.message(number, in: chat)
    }
    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await server.messages.messages(in: chat, page: page)
    }
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await server.messages.search(query, in: chat, page: page)
    }
    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        try await server.messages.search(query, in: tenant, page: page)
    }
    func count(in chat: Chat.ID) async throws -> Int64? { try await server.messages.count(in: chat) }
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await server.messages.entries(in: chat, after: number, limit: limit)
    }
    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await server.messages.lastNumbers(of: chats)
    }
    func tail(of chat: Chat.ID) async throws -> LogTail { try await server.messages.tail(of: chat) }
}
