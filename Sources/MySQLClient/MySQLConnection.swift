import Scheduling

/// One connection to the database, on its own thread.
///
/// A call from elsewhere hops to that thread and back; `perform` does so once for as many statements as its body has,
/// and the body then runs without suspension. Statements are prepared once and kept by their text, 128 a connection, so
/// a text must not have values in it. There is one statement at a time: while rows are being read, no other can run.
/// Settings of the session stay with the connection, so whoever changes one changes it back.
package actor MySQLConnection {
    nonisolated let thread = ThreadExecutor(name: "mysql", for: .actor, begin: Library.enterThread)
    private nonisolated let session = Session()

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private init() {}

    deinit {
        thread.stop { [session] in
            session.close()
            Library.leaveThread()
        }
    }

    /// - Throws: `.cannotConnect`, `.accessDenied`, `.unknownDatabase`, `.tooManyConnections`, and rarely others.
    package static func connect(_ configuration: MySQLConfiguration) async throws(MySQLError) -> MySQLConnection {
        let connection = MySQLConnection()
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: MySQLConfiguration) throws(MySQLError) { try session.connect(configuration) }

    /// As the server says it: `10.11.6-MariaDB-0+deb12u1`, `8.4.3`.
    package nonisolated var serverVersion: String { session.serverVersion }

    /// The server's facts when the connection was made.
    package nonisolated var facts: ServerFacts { session.facts }

    package nonisolated var isMariaDB: Bool { serverVersion.contains("MariaDB") }

    /// False after the connection was lost or closed: it never recovers.
    package var isUsable: Bool { session.isUsable }

    /// Whether the server has refused a statement as read-only or not ready, so that the pool should leave it.
    var isRefused: Bool { session.isRefused }

    /// Has the pool leave the server, as if it had refused a statement.
    func leave() { session.setRefused() }

    /// Whether a transaction was begun and not ended.
    package var isInTransaction: Bool { session.isInTransaction }

    /// How many statements are prepared.
    var statementCount: Int { session.statementCount }

    /// Runs the body on the connection's thread: one hop there and one back.
    package func perform<T: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> T
    ) async throws -> T {
        try body(self)
    }

    /// Runs a statement for what it changes; rows are discarded.
    ///
    /// - Parameter sql: one statement with `?` for each of `parameters`, in order. Not a `CALL`.
    @discardableResult
    package func execute(
        _ sql: String, _ parameters: [MySQLValue] = []
    ) throws(MySQLError) -> MySQLResult {
        try session.execute(sql, parameters)
    }

    /// Streams the rows of a statement: one at a time is in memory, however many there are.
    ///
    /// - Parameters:
    ///   - sql: as for `execute`.
    ///   - each: gets one row after the other; false ends it. The server still sends the rest, which is discarded: use a
    ///     `LIMIT` for a query that needs few rows.
    /// - Throws: `MySQLError`, also after some rows; and what `each` throws.
    package func query(
        _ sql: String, _ parameters: [MySQLValue] = [], each: (borrowing MySQLRow) throws -> Bool
    ) throws {
        try session.query(sql, parameters, each: each)
    }

    /// Reads all rows into an array.
    package func rows<T>(
        _ sql: String, _ parameters: [MySQLValue] = [], _ read: (borrowing MySQLRow) throws -> T
    ) throws -> [T] {
        var rows: [T] = []
        try session.query(sql, parameters) { row in
            rows.append(try read(row))
            return true
        }
        return rows
    }

    /// Reads the first row; nil when there is none.
    package func first<T>(
        _ sql: String, _ parameters: [MySQLValue] = [], _ read: (borrowing MySQLRow) throws -> T
    ) throws -> T? {
        var first: T?
        try session.query(sql, parameters) { row in
            first = try read(row)
            return false
        }
        return first
    }

    /// Sends a statement as text, not prepared: for transactions, settings and DDL. Rows are discarded.
    package func run(_ sql: String) throws(MySQLError) { try session.run(sql) }

    /// Runs the body in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// - Throws: what the body throws; a `MySQLError` that `isOfCommit`, after which the transaction may be stored unless
    ///   its kind says otherwise.
    package func transaction<T>(_ body: (isolated MySQLConnection) throws -> T) throws -> T {
        try run("START TRANSACTION")
        do {
            let result = try body(self)
            do throws(MySQLError) { try run("COMMIT") } catch { throw error.ofCommit }
            return result
        } catch {
            rollBack()
            throw error
        }
    }

    /// The caller needs the first error, so a failed rollback only ends the connection, and with it the transaction.
    private func rollBack() {
        guard session.isUsable else { return }
        do throws(MySQLError) { try run("ROLLBACK") } catch { session.setBroken() }
    }

    /// How long a statement waits for another transaction's lock, in seconds.
    static let lockWait = 1

    /// Runs the body so that its statements throw `.lockTimeout` where they would wait for another transaction: at once on
    /// MariaDB, after the usual second on MySQL, which has no shorter time.
    package func withoutLockWaits<T>(_ body: (isolated MySQLConnection) throws -> T) throws -> T {
        guard isMariaDB else { return try body(self) }
        try run("SET SESSION innodb_lock_wait_timeout = 0")
        let result = Result { try body(self) }
        do throws(MySQLError) {
            try run("SET SESSION innodb_lock_wait_timeout = \(Self.lockWait)")
        } catch {
            // The next borrower must not get it in this state.
            close()
        }
        return try result.get()
    }

    /// Asks the server for a sign of life: one round trip.
    package func ping() throws(MySQLError) { try session.ping() }

    /// Asks the server for its facts as they are now: one round trip.
    package func currentFacts() throws(MySQLError) -> ServerFacts { try session.askForFacts() }

    /// What the user may do, a statement a line as `SHOW GRANTS` has them.
    package func grants() throws(MySQLError) -> [String] { try session.texts("SHOW GRANTS").compactMap(\.first) }

    /// Ends the connection; statements from now on throw `.closed`. The thread ends with the last reference.
    package func close() { session.close() }
}

extension MySQLConnection: Hashable {
    package static func == (left: MySQLConnection, right: MySQLConnection) -> Bool { left === right }

    package nonisolated func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
