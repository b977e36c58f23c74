package import ChatCore

extension Backend {
    /// The embedded backend: one file, held by this process alone until `close` or its end.
    ///
    /// Opens the file (creating it and its folder), takes its lock and migrates it.
    ///
    /// - Throws: `StoreProblem`.
    package static func sqlite(path: String) throws -> Backend {
        let (store, lock) = try SQLiteStore.openExclusively(path: path)
        return Backend(store, lock: lock)
    }

    init(_ store: SQLiteStore, lock: SQLiteLock) {
        self.init(
            tenants: store,
            chats: store,
            messages: store,
            tenantLog: store,
            chatLog: store,
            messageLog: store,
            bus: store.bus,
            writeExecutor: store.writeThread,
            probe: { try store.probe() },
            close: { try withExtendedLifetime(lock) { try store.close() } }
        )
    }
}

extension SQLiteStore {
    /// Opens a file for serving or changing it: the lock first, then the schema.
    package static func openExclusively(path: String) throws -> (store: SQLiteStore, lock: SQLiteLock) {
        let lock = try SQLiteLock(database: path)
        let store = try SQLiteStore(path: path)
        try store.migrate()
        return (store, lock)
    }

    /// - Throws: `ChatError.unavailable` when the file cannot be read.
    func probe() throws {
        try read { db in _ = try Query(db, "SELECT 1 FROM applications LIMIT 1").next() }
    }
}
