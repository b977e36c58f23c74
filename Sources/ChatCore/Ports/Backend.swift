package import Cryptography
package import ServiceLifecycle

/// The storage backend: one value, made by one factory for each technology.
package struct Backend: Sendable {
    package var tenants: any TenantStore
    package var keys: any KeyStore
    package var audits: any AuditStore
    package var users: any UserStore
    package var chats: any ChatStore
    package var members: any MemberStore
    package var messages: any MessageStore
    package var changes: any MessageChanges
    package var reads: any ReadStates
    package var threads: any ThreadStore
    /// Nil where reading means asking a server.
    package var local: (any LocalReads)?
    package var tenantLog: any TenantLog
    package var newChatLog: any NewChatLog
    package var chatLog: any ChatLog
    package var readers: any LogReaders
    package var searchIndex: any SearchIndex
    package var generations: any SearchGenerations
    package var removals: any TenantRemovals
    /// Publishes the messages that the chats' log stores, in whatever process.
    package var bus: any MessageBus
    /// The buckets of the limits; nil where one process has them all.
    package var rateBuckets: (any SharedRateBuckets)?
    /// Who is online; nil where one process has all connections.
    package var presence: (any PresenceStore)?
    /// The executor on which to call the logs; nil for any.
    package let writeExecutor: (any TaskExecutor)?
    /// Seals what all processes of the deployment may open: 32 bytes.
    package let ticketKey: SecretKey
    /// How often the store was restored to an earlier state (`StoreKeeper.newEpoch`); 0 if never. Part of all cursors.
    package let cursorEpoch: Int64
    /// How many batches of each log may be written at the same time.
    package let batchesInFlight: Int
    /// The executors on which to search, one search at a time on each. Their threads have low priority.
    package let searchExecutors: [any TaskExecutor]
    /// Whether another process stores messages. Cheap: it is asked after each search.
    package let isWritten: @Sendable () -> Bool
    /// Answers when the store can be read and is not read-only; throws `ChatError.unavailable` otherwise. Cheap: it is asked
    /// every few seconds. Whether writes succeed is told by the writers' metrics.
    package var probe: @Sendable () async throws -> Void
    /// Problems of a store that can be read nevertheless: sentences for people.
    package let notes: @Sendable () -> [String]
    /// Sets the gauges of its connections; called before they are read.
    package let updateGauges: @Sendable () -> Void
    /// Rises before the store uses another server, which may have other rows: ids that were looked up before may be
    /// wrong. Cheap; constant with a single server.
    package var epoch: @Sendable () -> UInt64
    /// The services that must run while the backend is in use, in the order of their start.
    package var services: [any Service]
    /// Releases all resources. Called once, after all users of the backend have ended.
    package let close: @Sendable () throws -> Void

    package init(
        tenants: any TenantStore,
        keys: any KeyStore,
        audits: any AuditStore,
        users: any UserStore,
        chats: any ChatStore,
        members: any MemberStore,
        messages: any MessageStore,
        changes: any MessageChanges,
        reads: any ReadStates,
        threads: any ThreadStore,
        local: (any LocalReads)? = nil,
        tenantLog: any TenantLog,
        newChatLog: any NewChatLog,
        chatLog: any ChatLog,
        readers: any LogReaders,
        searchIndex: any SearchIndex,
        generations: any SearchGenerations,
        removals: any TenantRemovals,
        bus: any MessageBus,
        rateBuckets: (any SharedRateBuckets)? = nil,
        presence: (any PresenceStore)? = nil,
        writeExecutor: (any TaskExecutor)? = nil,
        ticketKey: SecretKey,
        cursorEpoch: Int64 = 0,
        batchesInFlight: Int = 1,
        searchExecutors: [any TaskExecutor],
        isWritten: @escaping @Sendable () -> Bool = { false },
        probe: @escaping @Sendable () async throws -> Void,
        notes: @escaping @Sendable () -> [String] = { [] },
        updateGauges: @escaping @Sendable () -> Void = {},
        epoch: @escaping @Sendable () -> UInt64 = { 0 },
        services: [any Service] = [],
        close: @escaping @Sendable () throws -> Void
    ) {
        self.tenants = tenants
        self.keys = keys
        self.audits = audits
        self.users = users
        self.chats = chats
        self.members = members
        self.messages = messages
        self.changes = changes
        self.reads = reads
        self.threads = threads
        self.local = local
        self.tenantLog = tenantLog
        self.newChatLog = newChatLog
        self.chatLog = chatLog
        self.readers = readers
        self.searchIndex = searchIndex
        self.generations = generations
        self.removals = removals
        self.bus = bus
        self.rateBuckets = rateBuckets
        self.presence = presence
        self.writeExecutor = writeExecutor
        self.ticketKey = ticketKey
        self.cursorEpoch = cursorEpoch
        self.batchesInFlight = batchesInFlight
        self.searchExecutors = searchExecutors
        self.isWritten = isWritten
        self.probe = probe
        self.notes = notes
        self.updateGauges = updateGauges
        self.epoch = epoch
        self.services = services
        self.close = close
    }
}
