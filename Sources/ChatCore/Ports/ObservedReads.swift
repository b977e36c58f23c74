import Logging
import Metrics

extension Backend {
    /// The same backend; its reads and its probe are measured (`luciq_store_read_seconds`), logged when they fail, and
    /// throw nothing but `ChatError`, or `CancellationError`.
    func observed(time: Timekeeper, logger: Logger, metrics: any MetricsFactory) -> Backend {
        let reads = ObservedReads(backend: self, observer: ReadObserver(time: time, logger: logger, metrics: metrics))
        var observed = self
        observed.tenants = reads
        observed.chats = reads
        observed.messages = reads
        observed.probe = { try await reads.probe() }
        return observed
    }
}

/// Stands before the stores that read. What writes is observed where its batches are made: in `GroupCommit`.
private struct ObservedReads: TenantStore, ChatStore, MessageStore {
    let backend: Backend
    let observer: ReadObserver

    func id(of token: Tenant.Token) async throws -> Tenant.ID? {
        try await observer.observe(.applicationID) { try await backend.tenants.id(of: token) }
    }

    func tenant(_ id: Tenant.ID) async throws -> Tenant? {
        try await observer.observe(.application) { try await backend.tenants.tenant(id) }
    }

    func messageCount(of id: Tenant.ID) async throws -> Int64? {
        try await observer.observe(.applicationMessageCount) { try await backend.tenants.messageCount(of: id) }
    }

    func id(of number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat.ID? {
        try await observer.observe(.chatID) { try await backend.chats.id(of: number, in: tenant) }
    }

    func chat(_ number: Chat.Number, in tenant: Tenant.ID) async throws -> Chat? {
        try await observer.observe(.chat) { try await backend.chats.chat(number, in: tenant) }
    }

    func chats(in tenant: Tenant.ID, page: Page) async throws -> PageOf<Chat> {
        try await observer.observe(.chats) { try await backend.chats.chats(in: tenant, page: page) }
    }

    func message(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await observer.observe(.message) { try await backend.messages.message(number, in: chat) }
    }

    func messages(in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await observer.observe(.messages) { try await backend.messages.messages(in: chat, page: page) }
    }

    func search(_ text: SearchText, in chat: Chat.ID, page: Page) async throws -> PageOf<Message> {
        try await observer.observe(.search) { try await backend.messages.search(text, in: chat, page: page) }
    }

    func count(in chat: Chat.ID) async throws -> Int64? {
        try await observer.observe(.chatMessageCount) { try await backend.messages.count(in: chat) }
    }

    func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try await observer.observe(.entries) {
            try await backend.messages.entries(in: chat, after: number, limit: limit)
        }
    }

    func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try await observer.observe(.lastNumbers) { try await backend.messages.lastNumbers(of: chats) }
    }

    func tail(of chat: Chat.ID) async throws -> LogTail {
        try await observer.observe(.tail) { try await backend.messages.tail(of: chat) }
    }

    func probe() async throws { try await observer.observe(.probe) { try await backend.probe() } }
}

/// Measures a read, and says when it failed.
private struct ReadObserver {
    enum Operation: String, CaseIterable {
        case applicationID = "application_id"
        case application
        case applicationMessageCount = "application_message_count"
        case chatID = "chat_id"
        case chat, chats
        case chatMessageCount = "chat_message_count"
        case entries
        case lastNumbers = "last_numbers"
        case message, messages, search, tail, probe
    }

    private let time: Timekeeper
    private let logger: Logger
    private let timers: [Operation: Metrics.Timer]

    init(time: Timekeeper, logger: Logger, metrics: any MetricsFactory) {
        self.time = time
        self.logger = logger
        self.timers = Dictionary(
            uniqueKeysWithValues: Operation.allCases.map { operation in
                let dimensions = [("operation", operation.rawValue)]
                return (
                    operation,
                    Metrics.Timer(label: "luciq_store_read_seconds", dimensions: dimensions, factory: metrics)
                )
            })
    }

    func observe<Result>(_ operation: Operation, _ read: () async throws -> Result) async throws -> Result {
        let start = time.now()
        defer { timers[operation]?.record(duration: time.now() - start) }
        do {
            return try await read()
        } catch let error as CancellationError {
            throw error
        } catch {
            // Whatever a driver makes of it: nobody waits for the answer, and it says nothing about the store.
            if Task.isCancelled { throw CancellationError() }
            let failure = ChatError(store: error)
            // The other errors say that a bound was reached, not that something is broken.
            if case .unavailable = failure {
                logger.error(
                    "The store could not be read",
                    metadata: ["operation": .string(operation.rawValue), "error": ChatError.forLog(error)])
            }
            throw failure
        }
    }
}
