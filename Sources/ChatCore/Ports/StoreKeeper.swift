/// Administers a store: `luciq db …`, `luciq search …` and `luciq verify`.
///
/// All methods throw `StoreProblem` for what a person can mend, and `ChatError.unavailable` when the store fails.
package protocol StoreKeeper: Sendable {
    /// Creates the database if there is none. `migrate` creates the tables.
    func create() async throws
    /// Migrates the schema to the newest version.
    ///
    /// - Returns: the versions that were applied now.
    func migrate() async throws -> [String]
    func status() async throws -> StoreStatus
    /// Deletes everything and leaves an empty, migrated database.
    func reset() async throws
    /// Walks the whole store.
    ///
    /// - Parameters:
    ///   - mends: whether to repair problems where that loses nothing.
    ///   - progress: called now and then with messages walked and messages expected.
    func verify(
        mends: Bool, progress: @escaping @Sendable (_ walked: Int64, _ expected: Int64) -> Void
    ) async throws -> StoreReport
    /// Begins another epoch of cursors: the store was restored to an earlier state, and gives numbers a second time.
    /// Cursors of before are refused (`ChatError.cursorEpoch`). No server may be running.
    ///
    /// - Parameter known: an epoch that the store had before it was restored; 0 if nobody knows.
    /// - Returns: the new one, which is above all that are known.
    func newEpoch(above known: Int64) async throws -> Int64
    /// Opens the search index.
    ///
    /// - Parameter changes: whether `body` changes it; then no server may have an embedded database open.
    func withSearch(changes: Bool, _ body: (SearchUpkeep) async throws -> Void) async throws
    /// Opens what deletions go by, to look for what they have left (`RemovalVerifier`). In a cluster with Redis.
    func withRemovals(_ body: (any TenantRemovals & SearchGenerations) async throws -> Void) async throws
    /// Copies a snapshot of everything into a new file. Servers may be running.
    ///
    /// - Parameter progress: called now and then with pages copied and pages there are.
    func backup(
        to file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws
    /// Replaces the store by such a copy. No server may be running.
    func restore(
        from file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws
    /// Releases all resources.
    func close() async throws
}

/// For a store whose database has its own tools for backups.
extension StoreKeeper {
    package func backup(
        to file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws { throw Self.hasItsOwn }

    package func restore(
        from file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws { throw Self.hasItsOwn }

    private static var hasItsOwn: StoreProblem {
        StoreProblem(
            "This is for the embedded database. Use the database's own tools, such as mysqldump or mariadb-backup: "
                + "see docs/operations/backup.md.", isConfiguration: true)
    }
}

/// The report of `luciq db status`.
package struct StoreStatus: Codable, Sendable {
    /// The store's location, without a password.
    package let location: String
    /// The engine and its version: `SQLite 3.40.1`.
    package let engine: String
    package let applied: [String]
    package let pending: [String]
    package let applications: Int64
    package let chats: Int64
    package let messages: Int64
    /// Of cursors (`Backend.cursorEpoch`).
    package let epoch: Int64

    package init(
        location: String,
        engine: String,
        applied: [String],
        pending: [String],
        applications: Int64,
        chats: Int64,
        messages: Int64,
        epoch: Int64
    ) {
        self.location = location
        self.engine = engine
        self.applied = applied
        self.pending = pending
        self.applications = applications
        self.chats = chats
        self.messages = messages
        self.epoch = epoch
    }
}
