import Scheduling

/// One connection to the database, on its own thread.
///
/// A call from another thread hops to that thread and back; `perform` does so once for all statements of its body,
/// which then runs without suspension. Statements are prepared once and cached by their text, 128 per connection, so a
/// text must not contain values. Statements run one at a time: while rows are read, no other can run. Settings of the
/// session stay with the connection: restore a setting after a change.
package actor MySQLConnection {
    nonisolated let thread: ThreadExecutor
    private nonisolated let session = Session()
    /// How long the server may take for a SELECT.
    private var selectLimit: Duration?

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private init(priority: ThreadExecutor.Priority) {
        thread = ThreadExecutor(name: "mysql", for: .actor, priority: priority, begin: Library.enterThread)
    }

    deinit {
        thread.stop { [session] in
            session.close()
            Library.leaveThread()
        }
    }

    /// - Throws: `.cannotConnect`, `.accessDenied`, `.unknownDatabase`, `.tooManyConnections`, and rarely others.
    package static func connect(_ configuration: MySQLConfiguration) async throws(MySQLError) -> MySQLConnection {
        let connection = MySQLConnection(priority: configuration.priority)
        try await connection.open(configuration)
        return connection
    }

    private func open(_ configuration: MySQLConfiguration) throws(MySQLError) { try session.connect(configuration) }

    /// The server's version: `10.11.6-MariaDB-0+deb12u1`, `8.4.3`.
    package nonisolated var serverVersion: String { session.serverVersion }

    /// The server's facts when the connection was made.
    package nonisolated var facts: ServerFacts { session.facts }

    package nonisolated var isMariaDB: Bool { serverVersion.contains("MariaDB") }

    /// False after the connection was lost or closed: it never recovers.
    package var isUsable: Bool { session.isUsable }

    /// Whether the server has refused a statement as read-only or not ready, so that the pool should leave it.
    var isRefused: Bool { session.isRefused }

    /// Makes the pool leave the server, as if it had refused a statement.
    func leave() { session.setRefused() }

    /// Whether a transaction is open.
    package var isInTransaction: Bool { session.isInTransaction }

    /// The number of prepared statements.
    var statementCount: Int { session.statementCount }

    /// Runs the body on the connection's thread: one hop there and one back.
    package func perform<T: Sendable>(
        _ body: @Sendable (isolated MySQLConnection) throws -> T
    ) async throws -> T {
        try body(self)
    }

    /// Runs a statement that changes rows; discards a result set.
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
    ///   - each: gets one row after the other; false ends it. The server still sends the rest, which is discarded: use
    ///     a `LIMIT` for a query that needs few rows.
    /// - Throws: `MySQLError`, also after some rows; the errors of `each`.
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

    /// Reads the first row; nil if there is none.
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
    /// - Throws: the body's errors; a `MySQLError` that `isOfCommit`, after which the transaction may be stored,
    ///   depending on its kind.
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

    /// Runs the body's reads in one snapshot, of the moment of the first one.
    package func snapshot<T>(_ body: (isolated MySQLConnection) throws -> T) throws -> T {
        try run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return try transaction(body)
    }

    /// The caller needs the first error, so a failed rollback only ends the connection, and with it the transaction.
    private func rollBack() {
        guard session.isUsable else { return }
        do throws(MySQLError) { try run("ROLLBACK") } catch { session.setBroken() }
    }

    /// How long a statement waits for another transaction's lock, in seconds.
    static let lockWait = 1

    /// Runs the body so that its statements throw `.lockTimeout` instead of waiting for another transaction: at once on
    /// MariaDB, after the usual second on MySQL, which has no shorter time-out.
    package func withoutLockWaits<T>(_ body: (isolated MySQLConnection) throws -> T) throws -> T {
        guard isMariaDB else { return try body(self) }
        try run("SET SESSION innodb_lock_wait_timeout = 0")
        let result = Result { try body(self) }
        do throws(MySQLError) {
            try run("SET SESSION innodb_lock_wait_timeout = \(Self.lockWait)")
        } catch {
            // The next borrower must not get the changed setting.
            close()
        }
        return try result.get()
    }

    /// Makes the server end each SELECT that takes longer, which then throws `.interrupted`: one round trip if the limit
    /// changes. A server that has no such limit ignores it.
    ///
    /// - Parameter time: nil for the server's own limit.
    package func limitSelects(to time: Duration?) throws(MySQLError) {
        guard time != selectLimit else { return }
        let milliseconds = time.map { $0 / .milliseconds(1) }
        let variable = isMariaDB ? "max_statement_time" : "max_execution_time"
        let value = milliseconds.map { "\(isMariaDB ? $0 / 1000 : $0.rounded(.up))" }
        do throws(MySQLError) {
            try run("SET SESSION \(variable) = \(value ?? "DEFAULT")")
        } catch {
            // 1193: the variable is unknown. 1231, 1232: it has no such value.
            guard [1193, 1231, 1232].contains(error.number) else { throw error }
        }
        selectLimit = time
    }

    /// Pings the server: one round trip.
    package func ping() throws(MySQLError) { try session.ping() }

    /// Reads the server's current facts: one round trip.
    package func currentFacts() throws(MySQLError) -> ServerFacts { try session.askForFacts() }

    /// The user's rights: the lines of `SHOW GRANTS`.
    package func grants() throws(MySQLError) -> [String] { try session.texts("SHOW GRANTS").compactMap(\.first) }

    /// Ends the connection; statements from now on throw `.closed`. The thread ends with the last reference.
    package func close() { session.close() }
}

extension MySQLConnection: Hashable {
    package static func == (left: MySQLConnection, right: MySQLConnection) -> Bool { left === right }

    package nonisolated func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
