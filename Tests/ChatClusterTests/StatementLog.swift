import MySQLClient
import TestSupport

@testable import ChatCluster

/// The statements that a private server has executed, from its own log.
struct StatementLog: Sendable {
    /// For the server. A statement that was prepared while nothing was logged never shows its values.
    static let options = ["--general-log=1", "--log-output=TABLE"]

    let server: MariaDBServer
    let database: String

    /// One executed statement, with its values.
    struct Statement: Sendable {
        let text: String
        /// Of `EXPLAIN`: a line a table.
        let plan: [Step]
    }

    struct Step: Sendable, CustomStringConvertible {
        let table: String
        let access: String
        let key: String
        /// An estimate.
        let rows: Int64
        let extra: String

        var description: String { "\(access) on \(table) by \(key), \(rows) rows: \(extra)" }
    }

    /// The cost of some work, as counted by the server.
    struct Cost: Sendable {
        let statements: [Statement]
        /// `Handler_read_%`, less the cost of reading the status itself: how many rows and index entries were examined.
        let rowsRead: Int64
    }

    /// The statements that `body` made the server execute, prepared ones only: each with its plan.
    func during(_ body: () async throws -> Void) async throws -> Cost {
        _ = try await server.sql("TRUNCATE mysql.general_log")
        let before = try await handlerReads()
        try await body()
        let after = try await handlerReads()
        let texts = try await server.sql(
            """
            SELECT REPLACE(argument, '\\n', ' ') FROM mysql.general_log WHERE command_type = 'Execute';
            """)
        var statements: [Statement] = []
        for text in texts.split(separator: "\n").map(String.init) { statements.append(try await explain(text)) }
        return Cost(statements: statements, rowsRead: after - before)
    }

    private func handlerReads() async throws -> Int64 {
        let values = try await server.sql(
            """
            SHOW GLOBAL STATUS WHERE Variable_name IN (
                'Handler_read_key', 'Handler_read_next', 'Handler_read_prev', 'Handler_read_first', 'Handler_read_last',
                'Handler_icp_attempts');
            """)
        return values.split(separator: "\n").reduce(0) { $0 + (Int64($1.split(separator: "\t")[1]) ?? 0) }
    }

    private func explain(_ text: String) async throws -> Statement {
        // An INSERT has no plan to choose.
        guard !text.hasPrefix("INSERT") else { return Statement(text: text, plan: []) }
        let rows = try await server.sql("EXPLAIN \(text);", database: database)
        return Statement(
            text: text,
            plan: rows.split(separator: "\n").map { line in
                // The last column may be empty, and the end of the output is trimmed.
                let columns = (line + "\t").split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
                return Step(
                    table: columns[2], access: columns[3], key: columns[5], rows: Int64(columns[8]) ?? 0,
                    extra: columns[9])
            })
    }
}
