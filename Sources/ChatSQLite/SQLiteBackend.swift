package import ChatCore

extension Backend {
    /// The embedded backend: one file, held by this process alone until `close` or its end.
    ///
    /// Opens the file (creating it and its folder), takes its lock and migrates it.
    ///
    /// - Throws: `StoreProblem`.
    package static func sqlite(path: String) throws -> Backend {
        let store = try SQLiteStore.openExclusively(path: path)
        return Backend(
            tenants: store.store,
            chats: store.store,
            messages: store.store,
            tenantLog: store.store,
            chatLog: store.store,
            messageLog: store.store,
            writeExecutor: store.store.writeThread,
            probe: { try store.store.probe() },
            close: { try withExtendedLifetime(store.lock) { try store.store.close() } }
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
