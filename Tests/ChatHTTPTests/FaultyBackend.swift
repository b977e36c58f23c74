import ChatCore

/// Stands in front of all ports of a real backend, with a gate for what reads and one for what writes.
struct FaultyBackend: Sendable {
    let reads = Gate()
    let writes = Gate()
    let inner: Backend
    /// The store's own observer, so it also measures what the gate does.
    let observer: ReadObserver

    /// The same backend behind the gates.
    var backend: Backend {
        var backend = inner
        backend.tenants = self
        backend.keys = self
        backend.users = self
        backend.chats = self
        backend.members = self
        backend.messages = self
        backend.changes = self
        backend.reads = self
        backend.local = self
        backend.tenantLog = self
        backend.newChatLog = self
        backend.chatLog = self
        backend.probe = { try await read(.probe) { try await $0.probe() } }
        return backend
    }

    private func read<Result>(
        _ operation: ReadObserver.Operation, _ call: (Backend) async throws -> Result
    ) async throws -> Result {
        do { try await reads.pass() } catch  where !(error is SearchStopped) {
            throw observer.begin(operation).end(error)
        }
        return try await call(inner)
    }

    func write<Result>(_ call: (Backend) async throws -> Result) async throws -> Result {
        try await writes.pass()
        return try await call(inner)
    }
}

extension FaultyBackend: TenantStore {
    func identity(of name: Tenant.Name) async throws -> Tenant.Identity? {
        try await read(.applicationID) { try await $0.tenants.identity(of: name) }
    }
    func tenants(after id: Tenant.PublicID?, limit: Int) async throws -> (tenants: [Tenant], hasMore: Bool)? {
        try await read(.applications) { try await $0.tenants.tenants(after: id, limit: limit) }
    }
    func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try await read(.application) { try await $0.tenants.tenant(id) }
    }
    func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try await read(.applicationMessageCount) { try await $0.tenants.messageCount(of: id) }
    }
}

extension FaultyBackend: KeyStore {
    func key(_ id: AccessKey.ID) async throws -> ApplicationKey? {
        try await read(.accessKey) { try await $0.keys.key(id) }
    }
    func keys(of tenant: Tenant.ID) async throws -> [ApplicationKey] {
        try await read(.accessKeys) { try await $0.keys.keys(of: tenant) }
    }
}

extension FaultyBackend: UserStore {
    func tokenKeys(of tenant: Tenant.ID) async throws -> TokenKeyring? {
        try await read(.tokenKeys) { try await $0.users.tokenKeys(of: tenant) }
    }
    func user(_ id: User.ID, in tenant: Tenant.ID) async throws -> User? {
        try await read(.user) { try await $0.users.user(id, in: tenant) }
    }
    func users(of tenant: Tenant.ID, after user: User.ID?, limit: Int) async throws -> (users: [User], hasMore: Bool) {
        try await read(.users) { try await $0.users.users(of: tenant, after: user, limit: limit) }
    }
}

extension FaultyBackend: ChatStore {
    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID? {
        try await read(.chatID) { try await $0.chats.id(of: number, in: tenant) }
    }
    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat? {
        try await read(.chat) { try await $0.chats.chat(number, in: tenant) }
    }
    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat> {
        try await read(.chats) { try await $0.chats.chats(in: tenant, page: page) }
    }
}

extension FaultyBackend: MessageStore {
    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await read(.message) { try await $0.messages.message(number, in: chat) }
    }
    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read(.messages) { try await $0.messages.messages(in: chat, page: page) }
    }
    func search(_ query: SearchQuery, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await read(.search) { try await $0.messages.search(query, in: chat, page: page) }
    }
    func search(_ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage) async throws -> TenantHits {
        do {
            return try await read(.search) { try await $0.messages.search(query, in: tenant, page: page) }
        } catch let stop as SearchStopped {
            return TenantHits(hits: [], hasMore: true, stoppedAt: stop.at)
        }
    }
    func count(in chat: Chat.ID) async throws -> Int64? {
        try await read(.chatMessageCount) { try await $0.messages.count(in: chat) }
    }
    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await read(.entries) { try await $0.messages.entries(in: chat, after: number, limit: limit) }
    }
    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.lastNumbers) { try await $0.messages.lastNumbers(of: chats) }
    }
    func tail(of chat: Chat.ID) async throws -> LogTail {
        try await read(.tail) { try await $0.messages.tail(of: chat) }
    }
}

/// Makes the gate stop a search across a tenant at some time.
struct SearchStopped: Error {
    let at: Timestamp
}

/// What the gate would hold up or fail has to be asked for.
extension FaultyBackend: LocalReads {
    func messageNow(_ number: Message.Number, in chat: Chat.ID) throws -> Message? {
        reads.isOpen ? try inner.local?.messageNow(number, in: chat) : nil
    }
    func headNow(of chat: Chat.ID) throws -> Cursor? { reads.isOpen ? try inner.local?.headNow(of: chat) : nil }
    func messagesNow(in chat: Chat.ID, page: Page) throws -> PageOf<Message>? {
        reads.isOpen ? try inner.local?.messagesNow(in: chat, page: page) : nil
    }
}

extension FaultyBackend: MemberStore {
    func place(of user: User.ID, in chat: Chat.Number, of tenant: Tenant.ID) async throws -> MemberPlace? {
        try await read(.memberPlace) { try await $0.members.place(of: user, in: chat, of: tenant) }
    }
    func member(_ user: User.ID, in chat: Chat.ID) async throws -> Member? {
        try await read(.member) { try await $0.members.member(user, in: chat) }
    }
    func members(_ users: [User.ID], of chat: Chat.ID) async throws -> [User.ID: Member] {
        try await read(.members) { try await $0.members.members(users, of: chat) }
    }
    func members(of chat: Chat.ID, after user: User.ID?, limit: Int) async throws -> (members: [Member], hasMore: Bool)
    {
        try await read(.members) { try await $0.members.members(of: chat, after: user, limit: limit) }
    }
    func chats(seenBy user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<SeenChat> {
        try await read(.chats) { try await $0.members.chats(seenBy: user, in: tenant, page: page) }
    }
    func chats(
        seenBy user: User.ID, among numbers: [Chat.Number], in tenant: Tenant.ID
    ) async throws -> [SeenChat] {
        try await read(.chats) { try await $0.members.chats(seenBy: user, among: numbers, in: tenant) }
    }
    func chats(of user: User.ID, in tenant: Tenant.ID, page: Page) async throws -> PageOf<MemberChat> {
        try await read(.memberChats) { try await $0.members.chats(of: user, in: tenant, page: page) }
    }
    func messageCount(of chat: Chat.ID, in numbers: NumberSpan) async throws -> Int64 {
        try await read(.chatMessageCount) { try await $0.members.messageCount(of: chat, in: numbers) }
    }
}

extension FaultyBackend: TenantLog, NewChatLog, ChatLog {
    func apply(
        _ batch: [TenantChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<TenantChange.Effect, ChatError>] {
        try await write { try await $0.tenantLog.apply(batch, at: now, within: time) }
    }
    func append(
        _ batch: [NewChat], at now: Timestamp, within time: Duration
    ) async throws -> [Result<AppendedChat, ChatError>] {
        try await write { try await $0.newChatLog.append(batch, at: now, within: time) }
    }
    func apply(
        _ batch: [ChatChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChatChange.Outcome, ChatError>] {
        try await write { try await $0.chatLog.apply(batch, at: now, within: time) }
    }
    func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws {
        try await write { try await $0.chatLog.settle(numbers, in: chat) }
    }
}

extension FaultyBackend: MessageChanges {
    func revise(
        _ batch: [MessageChange], at now: Timestamp, within time: Duration
    ) async throws -> [Result<ChangedMessage, ChatError>] {
        try await write { try await $0.changes.revise(batch, at: now, within: time) }
    }
    func revisions(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await read(.revisions) { try await $0.changes.revisions(of: chats) }
    }
    func changes(
        in chat: Chat.ID, after revision: Int64, upTo last: Int64, limit: Int
    ) async throws -> [ChangedItem] {
        try await read(.changes) {
            try await $0.changes.changes(in: chat, after: revision, upTo: last, limit: limit)
        }
    }
    func messages(_ numbers: [Message.Number], in chat: Chat.ID) async throws -> [Message.Number: Message] {
        try await read(.messages) { try await $0.changes.messages(numbers, in: chat) }
    }
    func versions(
        of number: Message.Number, in chat: Chat.ID, page: Page, since time: Timestamp
    ) async throws -> PageOf<MessageVersion> {
        try await read(.messageVersions) {
            try await $0.changes.versions(of: number, in: chat, page: page, since: time)
        }
    }
    func users(
        reacting name: Reaction.Name, to number: Message.Number, in chat: Chat.ID, page: Page
    ) async throws -> PageOf<ReactingUser> {
        try await read(.reactions) { try await $0.changes.users(reacting: name, to: number, in: chat, page: page) }
    }
    func pins(of chat: Chat.ID) async throws -> [Pin] { try await read(.pins) { try await $0.changes.pins(of: chat) } }
    func deletedCount(in chat: Chat.ID, of numbers: NumberSpan) async throws -> Int64 {
        try await read(.deletedCount) { try await $0.changes.deletedCount(in: chat, of: numbers) }
    }
    func expireVersions(by rules: EditRules, at now: Timestamp, limit: Int) async throws -> Bool {
        try await write { try await $0.changes.expireVersions(by: rules, at: now, limit: limit) }
    }
}
