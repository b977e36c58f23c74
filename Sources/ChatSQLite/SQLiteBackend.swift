package import ChatCore
import Cryptography
package import Logging
package import Metrics

extension Backend {
    /// The embedded backend: one file, held by this process alone until `close` or its end.
    ///
    /// Opens the file (creating it and its folder), takes its lock and migrates it.
    ///
    /// - Throws: `StoreProblem`.
    package static func sqlite(
        path: String, logger: Logger, metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) throws -> Backend {
        let missingLog = FileMark.missingLog(of: path)
        var (store, file) = try SQLiteStore.openExclusively(path: path)
        store.observer = ReadObserver(logger: logger, metrics: metrics)
        if let missingLog { logger.error("Database log missing", metadata: ["advice": "\(missingLog)"]) }
        return try Backend(store, file: file, logger: logger, metrics: metrics)
    }

    init(
        _ store: SQLiteStore, file: SQLiteFile, logger: Logger,
        metrics: any MetricsFactory = NOOPMetricsHandler.instance
    ) throws {
        self.init(
            tenants: store,
            keys: store,
            audits: store,
            users: store,
            chats: store,
            members: store,
            messages: store,
            changes: store,
            reads: store,
            threads: store,
            local: store,
            tenantLog: store,
            newChatLog: store,
            chatLog: store,
            readers: store,
            searchIndex: store,
            generations: store,
            removals: store,
            bus: store.bus,
            writeExecutor: store.writeThread,
            // Without it, tickets do not survive the process.
            ticketKey: (try? store.ticketKey()) ?? .random(),
            cursorEpoch: try store.cursorEpoch(),
            searchExecutors: store.searchThreads,
            probe: { try store.probe() },
            services: [
                FileWatch(store: store, file: file, logger: logger),
                SearchIndexer(
                    index: store, messages: store, readers: store, log: store, logger: logger, metrics: metrics),
            ],
            close: { try withExtendedLifetime(file) { try store.close() } }
        )
    }
}

extension SQLiteStore {
    /// Opens a file for serving or changing it: the lock first, then the schema.
    ///
    /// - Throws: `StoreProblem`; for another program's file before any change.
    package static func openExclusively(path: String) throws -> (store: SQLiteStore, file: SQLiteFile) {
        let owner = try FileOwner(path: path)
        let file = try SQLiteFile(path: path)
        if case .earlierLuciq = owner { file.restrict() }
        let store = try SQLiteStore(path: path, file: file)
        try store.migrate()
        try store.watchFile()
        return (store, file)
    }
}
