import Foundation
import Scheduling
import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct ConnectionTests {
    @Test func session() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        #expect(connection.isMariaDB)
        #expect(connection.serverVersion.hasPrefix("10.") || connection.serverVersion.hasPrefix("11."))
        let settings = try await connection.perform { connection in
            try connection.rows(
                """
                SHOW SESSION VARIABLES WHERE Variable_name IN ('character_set_client', 'character_set_results',
                'time_zone', 'tx_isolation', 'autocommit', 'innodb_lock_wait_timeout')
                """
            ) { "\($0.text(0))=\($0.text(1))" }
        }
        #expect(
            Set(settings) == [
                "character_set_client=utf8mb4", "character_set_results=utf8mb4", "time_zone=+00:00",
                "tx_isolation=READ-COMMITTED", "autocommit=ON", "innodb_lock_wait_timeout=1",
            ])
        let mode = try await connection.perform { try $0.first("SELECT @@sql_mode") { $0.text(0) } }
        #expect(mode?.contains("STRICT_TRANS_TABLES") == true)
        try await connection.ping()
    }

    @Test func unixSocket() async throws {
        let server = try await MariaDBServer.shared()
        var configuration = server.configuration
        configuration.socket = server.socket
        configuration.port = 1
        let connection = try await MySQLConnection.connect(configuration)
        #expect(try await connection.perform { try $0.first("SELECT DATABASE()") { $0.text(0) } } == "luciq")
    }

    @Test func pluginOfTheLibrary() async throws {
        let server = try await MariaDBServer.shared()
        let root = try await MySQLConnection.connect(server.configuration)
        try await root.run("INSTALL SONAME 'auth_ed25519'")
        try await root.run("CREATE USER eddie IDENTIFIED VIA ed25519 USING PASSWORD('curve')")
        var configuration = server.configuration
        (configuration.user, configuration.password, configuration.database) = ("eddie", "curve", "")
        let connection = try await MySQLConnection.connect(configuration)
        #expect(try await connection.perform { try $0.first("SELECT CURRENT_USER()") { $0.text(0) } } == "eddie@%")
    }

    @Test func statementsAreKeptAndEvicted() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            for _ in 0..<3 {
                for number in 0..<Session.statementCapacity + 10 {
                    #expect(try connection.first("SELECT ? + \(number)", [1]) { $0.integer(0) } == Int64(number + 1))
                }
                #expect(connection.statementCount == Session.statementCapacity)
            }
            let open = try connection.first("SHOW SESSION STATUS LIKE 'Prepared_stmt_count'") { $0.integer(1) }
            #expect(try #require(open) <= 2 * Session.statementCapacity)
        }
    }

    @Test func evictedAreClosedAtTheServer() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            for number in 0..<Session.statementCapacity + 72 { try connection.execute("DO \(number) + ?", [1]) }
            let closed = try connection.first("SHOW SESSION STATUS LIKE 'Com_stmt_close'") { $0.integer(1) }
            #expect(closed == 73)
        }
    }

    @Test func aTableThatChangesUnderAStatement() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            try connection.run("CREATE TEMPORARY TABLE c (a INT)")
            try connection.execute("INSERT INTO c VALUES (?)", [7])
            #expect(try connection.first("SELECT a FROM c") { $0.integer(0) } == 7)
            try connection.run("ALTER TABLE c MODIFY a VARCHAR(20)")
            #expect(try connection.first("SELECT a FROM c") { $0.text(0) } == "7")
            #expect(try connection.first("SELECT * FROM c") { $0.text(0) } == "7")
            try connection.run("ALTER TABLE c ADD b INT DEFAULT 3 FIRST")
            // The library may let it fail once; the next attempt must succeed.
            _ = try? connection.first("SELECT * FROM c") { $0.integer(0) }
            #expect(try connection.first("SELECT * FROM c") { $0.integer(0) } == 3)
            #expect(connection.isUsable == true)
        }
    }

    @Test func streaming() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            var (count, sum): (Int64, Int64) = (0, 0)
            try connection.query("SELECT seq, REPEAT('x', seq % 500) FROM seq_1_to_200000") { row in
                count += 1
                sum += row.integer(0)
                #expect(row.bytes(1).count == Int(row.integer(0) % 500))
                return true
            }
            #expect(count == 200_000)
            #expect(sum == 200_000 * 200_001 / 2)

            // Stopped early, by false and by an error, and used again at once.
            struct Enough: Error {}
            for _ in 0..<3 {
                var seen = 0
                try connection.query("SELECT seq FROM seq_1_to_100000") { _ in
                    seen += 1
                    return seen < 10
                }
                #expect(seen == 10)
                #expect(throws: Enough.self) {
                    try connection.query("SELECT seq FROM seq_1_to_100000") { _ in throw Enough() }
                }
                #expect(try connection.first("SELECT seq FROM seq_1_to_100000") { $0.integer(0) } == 1)
            }
            // Another statement in between is refused with an error.
            try connection.query("SELECT seq FROM seq_1_to_10") { row in
                #expect(throws: MySQLError.self) { try connection.run("DO 1") }
                #expect(throws: MySQLError.self) { try connection.execute("DO ?", [1]) }
                return row.integer(0) < 3
            }
            try connection.run("SELECT seq FROM seq_1_to_1000")
            #expect(connection.isUsable == true)
        }
    }

    @Test func aLargeInsert() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            try connection.run("CREATE TEMPORARY TABLE l (a BIGINT, b INT, c TEXT, d DATETIME(6), e BLOB, f INT)")
            let row = "(?, ?, ?, ?, ?, ?)"
            let sql = "INSERT INTO l VALUES " + Array(repeating: row, count: 500).joined(separator: ", ")
            for round in 0..<3 as Range<Int64> {
                let values = (0..<500 as Range<Int64>).flatMap { number -> [MySQLValue] in
                    let text = String(repeating: "ü", count: Int(number * round))
                    return [.integer(number), .integer(round), .text(text), .timestamp(number), .bytes([1, 2]), nil]
                }
                #expect(try connection.execute(sql, values).affectedRows == 500)
            }
            let sums = try connection.first(
                "SELECT COUNT(*), SUM(a), SUM(CHAR_LENGTH(c)), COUNT(f), SUM(LENGTH(e)), SUM(MICROSECOND(d)) FROM l"
            ) { row in (0..<6).map { row.integer($0) } }
            #expect(sums == [1500, 374_250, 374_250, 0, 3000, 374_250])
        }
    }

    @Test func transactions() async throws {
        struct Oops: Error {}
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.run("CREATE TABLE transactions (n INT PRIMARY KEY)")
        try await connection.perform { connection in
            let answer = try connection.transaction { connection in
                #expect(connection.isInTransaction == true)
                try connection.execute("INSERT INTO transactions VALUES (?)", [1])
                return "kept"
            }
            #expect(answer == "kept")
            #expect(connection.isInTransaction == false)
            #expect(throws: Oops.self) {
                try connection.transaction { connection in
                    try connection.execute("INSERT INTO transactions VALUES (?)", [2])
                    throw Oops()
                }
            }
            #expect(throws: MySQLError.self) {
                try connection.transaction { connection in
                    try connection.execute("INSERT INTO transactions VALUES (?)", [3])
                    try connection.execute("INSERT INTO transactions VALUES (?)", [1])
                }
            }
            #expect(connection.isInTransaction == false)
            #expect(try connection.rows("SELECT n FROM transactions") { $0.integer(0) } == [1])
        }
    }

    @Test func closing() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.execute("DO ?", [1])
        await connection.close()
        await connection.close()
        #expect(await !connection.isUsable)
        #expect(await kind { try await connection.ping() } == .closed)
        #expect(await kind { try await connection.execute("DO ?", [1]) } == .closed)
        #expect(await kind { try await connection.run("DO 1") } == .closed)
    }

    /// For `top` and `perf`.
    @Test func theSystemKnowsTheNameOfItsThread() async throws {
        let connection = try await MySQLConnection.connect(MariaDBServer.shared().configuration)
        let name = try await connection.perform { _ in
            try String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
        }
        #expect(name == "mysql\n")
    }

    @Test func threadsEnd() async throws {
        let server = try await MariaDBServer.shared()
        struct Weak { weak var thread: ThreadExecutor? }
        let before = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        var threads: [Weak] = []
        for number in 0..<200 {
            let connection = try await MySQLConnection.connect(server.configuration)
            threads.append(Weak(thread: connection.thread))
            if number % 2 == 0 { await connection.close() }
        }
        // The thread holds its executor, so one that is gone has ended.
        try await eventually("the threads have ended") { threads.allSatisfy { $0.thread == nil } }
        // Other tests have threads of their own at the same time, but not so many.
        try await eventually("the system has few threads of ours") {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count < before + 100
        }
        let watcher = try await MySQLConnection.connect(server.configuration)
        try await eventually("the server has few connections of ours") {
            try await watcher.perform { connection in
                try connection.first("SELECT COUNT(*) FROM information_schema.processlist") { $0.integer(0) }! < 100
            }
        }
    }
}
