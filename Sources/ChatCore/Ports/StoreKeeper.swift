/// What looks after a store from the outside: `luciq db …` and `luciq verify`.
///
/// All methods throw `StoreProblem` for what a person can mend, and `ChatError.unavailable` when the store fails.
package protocol StoreKeeper: Sendable {
    /// Creates the database where there is none. Tables are `migrate`'s.
    func create() async throws
    /// Brings the schema up to date.
    ///
    /// - Returns: the versions that were applied now.
    func migrate() async throws -> [String]
    func status() async throws -> StoreStatus
    /// Deletes everything and leaves an empty, migrated database.
    func reset() async throws
    /// Walks the whole store.
    ///
    /// - Parameters:
    ///   - mends: whether what is off is put right where that loses nothing.
    ///   - progress: called now and then with messages walked and messages expected.
    func verify(
        mends: Bool, progress: @escaping @Sendable (_ walked: Int64, _ expected: Int64) -> Void
    ) async throws -> StoreReport
    /// Copies everything, as it is at one moment, into a file that is not there yet. Servers may be running.
    ///
    /// - Parameter progress: called now and then with pages copied and pages there are.
    func backup(
        to file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws
    /// Puts such a copy in the store's place. No server may be running.
    func restore(
        from file: String, progress: @escaping @Sendable (_ copied: Int64, _ total: Int64) -> Void
    ) async throws
    /// Lets go of everything.
    func close() async throws
}

/// A store whose database has tools of its own for it.
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

/// What `luciq db status` tells.
package struct StoreStatus: Codable, Sendable {
    /// Where it is, without a password.
    package let location: String
    /// The engine and its version: `SQLite 3.40.1`.
    package let engine: String
    package let applied: [String]
    package let pending: [String]
    package let applications: Int64
    package let chats: Int64
    package let messages: Int64

    package init(
        location: String,
        engine: String,
        applied: [String],
        pending: [String],
        applications: Int64,
        chats: Int64,
        messages: Int64
    ) {
        self.location = location
        self.engine = engine
        self.applied = applied
        self.pending = pending
        self.applications = applications
        self.chats = chats
        self.messages = messages
    }
}
