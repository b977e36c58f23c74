import ChatCore
import ChatJobs
import MySQLClient
import RedisClient
import Synchronization
import TestSupport

@testable import ChatCluster

extension TestCluster {
    /// - Parameter interruption: called between the steps of a job, with the number of the call from 1.
    func context(
        grace: Duration = .seconds(60),
        interruption: @escaping @Sendable (Int) async throws -> Void = { _ in }
    ) -> JobContext {
        let calls = Atomic(0)
        return JobContext(store: store, logger: Self.logger, grace: grace) { [calls = Box(calls)] in
            try await interruption(calls.value.add(1, ordering: .relaxed).newValue)
        }
    }

    /// As each minute.
    func sync(_ context: JobContext? = nil) async throws {
        try await SyncCounts(context: context ?? self.context()).perform(IgnoredArguments())
    }

    func reconcile(_ context: JobContext? = nil) async throws {
        try await Reconcile(context: context ?? self.context()).perform(NoArguments())
    }

    /// New chats of the tenant, without messages.
    func makeChats(_ count: Int) async throws -> [Chat.ID] {
        let batch = Array(repeating: NewChat(tenant: tenant), count: count)
        let numbers = try await store.append(batch, at: Self.time).map { try $0.get().number.rawValue }
        return try await sql(
            "SELECT id FROM chats WHERE application_id = ? AND number >= ? ORDER BY number",
            [.integer(tenant.rawValue), .integer(numbers.min() ?? 0)]
        ).map { Chat.ID($0[0]) }
    }

    /// One message to each chat.
    func send(toEach chats: some Sequence<Chat.ID>) async throws {
        let batch = chats.map { NewMessage(tenant: tenant, chat: $0, body: "m") }
        for some in stride(from: 0, to: batch.count, by: 500).map({ batch[$0..<min($0 + 500, batch.count)] }) {
            for result in try await store.append(Array(some), at: Self.time) { _ = try result.get() }
        }
    }

    /// Waits until what was posted to Redis is there.
    func settleCopies() async throws { _ = try await redis("PING") }

    /// As two minutes later: changes that the last run has seen lead no later run to a chat, and cover no new rows.
    func dropSeenChanges() async throws {
        for log in [store.messageLog, store.chatLog] { log.changes.forget() }
        try await sql(
            """
            DELETE FROM log_changes WHERE changed_at < (
                SELECT TIMESTAMPADD(MICROSECOND, position, '1970-01-01') FROM job_positions WHERE name = 'changes')
            """)
    }

    /// How many rows of `chats` and of `applications` have a count that the rows of messages and chats do not say.
    func wrongColumns() async throws -> [Int64] {
        let chats = try await sql(
            """
            SELECT COUNT(*) FROM chats LEFT JOIN (
                SELECT chat_id, COUNT(*) AS stored FROM messages WHERE batch_id >= 0 GROUP BY chat_id
            ) AS counted ON counted.chat_id = chats.id
            WHERE NOT chats.messages_count <=> IFNULL(counted.stored, 0)
            """)
        let applications = try await sql(
            """
            SELECT COUNT(*) FROM applications
            LEFT JOIN (
                SELECT application_id, COUNT(*) AS stored FROM chats WHERE batch_id >= 0 GROUP BY application_id
            ) AS owned ON owned.application_id = applications.id
            LEFT JOIN (
                SELECT chats.application_id, COUNT(*) AS stored FROM messages JOIN chats ON chats.id = chat_id
                WHERE messages.batch_id >= 0 GROUP BY chats.application_id
            ) AS counted ON counted.application_id = applications.id
            WHERE NOT (chats_count <=> IFNULL(owned.stored, 0) AND messages_count <=> IFNULL(counted.stored, 0))
            """)
        return [chats[0][0], applications[0][0]]
    }

    func column(_ column: String, of chat: Chat.ID? = nil) async throws -> Int64 {
        try await sql("SELECT \(column) FROM chats WHERE id = ?", [.integer((chat ?? self.chat).rawValue)])[0][0]
    }
}

/// Something that cannot be copied, shared.
private final class Box<Value: ~Copyable & Sendable>: Sendable {
    let value: Value

    init(_ value: consuming Value) { self.value = value }
}

/// An error that ends a job as a kill would.
struct Killed: Error {}

/// A gate that one task waits at and another opens.
actor JobsGate {
    private var isOpen = false
    private var isReached = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    /// Waits until it is opened.
    func pass() async {
        isReached = true
        guard !isOpen else { return }
        await withCheckedContinuation { waiters.append($0) }
    }

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    /// Whether a task has reached it.
    var wasReached: Bool { isReached }
}
