import Foundation
import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct ValueTests {
    @Test func roundTrip() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        let long = String(repeating: "é", count: 32_767) + "x"
        let now = Int64(Date().timeIntervalSince1970 * 1_000_000)
        let texts = [
            "", "a", "👩🏽‍🚀 Ünïcødé", String(repeating: "y", count: 256), String(repeating: "z", count: 257), long,
        ]
        let times: [Int64] = [
            0, -1, now, -62_135_596_800_000_000, 253_402_300_799_999_999, -2_208_988_800_123_456, 951_782_400_000_001,
        ]
        try await connection.perform { connection in
            try connection.run(
                """
                CREATE TEMPORARY TABLE v (i BIGINT, t TEXT, b LONGBLOB, d DATETIME(6), s SMALLINT UNSIGNED, y TINYINT)
                """)
            let insert = "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?)"
            for integer in [0, 1, -1, Int64.min, .max] {
                try connection.execute(insert, [.integer(integer), nil, nil, nil, 65535, -128])
            }
            for text in texts {
                try connection.execute(insert, [nil, .text(text), .bytes(Array(text.utf8)), nil, 0, 0])
            }
            for time in times { try connection.execute(insert, [nil, "t", nil, .timestamp(time), nil, nil]) }

            let integers = try connection.rows("SELECT i, s, y FROM v WHERE i IS NOT NULL") {
                [$0.integer(0), $0.integer(1), $0.integer(2)]
            }
            #expect(integers == [0, 1, -1, Int64.min, .max].map { [$0, 65535, -128] })
            let readTexts = try connection.rows("SELECT t, b FROM v WHERE b IS NOT NULL") { row in
                #expect(row.text(0) == String(decoding: row.bytes(1), as: UTF8.self))
                return row.text(0)
            }
            #expect(readTexts == texts)
            let readTimes = try connection.rows("SELECT d FROM v WHERE d IS NOT NULL") { $0.timestamp(0) }
            #expect(readTimes == times)
            // The server's and our reading of a time agree with each other, not only each with itself.
            let seconds = try connection.rows(
                "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', d) FROM v WHERE d IS NOT NULL"
            ) { $0.integer(0) }
            #expect(seconds == times)
        }
    }

    @Test func nulls() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            // The same statement with a NULL after a value, and again: no type and no length stays behind.
            let sql = "SELECT ?, CAST(? AS SIGNED), CAST(? AS DATETIME(6))"
            for value in [nil, "x", nil, ""] as [MySQLValue] {
                let isNull = value == .null
                _ = try connection.first(sql, [value, isNull ? nil : 7, isNull ? nil : .timestamp(5)]) { row in
                    #expect(row.isNull(0) == isNull)
                    #expect(row.text(0) == (value == "x" ? "x" : ""))
                    #expect(row.bytes(0).isEmpty == (value != "x"))
                    #expect(row.integer(1) == (isNull ? 0 : 7))
                    #expect(row.text(1) == (isNull ? "" : "7"))
                    #expect(row.timestamp(2) == (isNull ? 0 : 5))
                }
            }
        }
    }

    @Test func conversions() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            let numbers = try connection.first("SELECT SUM(?), '12.9', 'x', '-3', 1.5, TRUE, COUNT(*)", [5]) { row in
                (0..<7).map { row.integer($0) }
            }
            #expect(numbers == [5, 12, 0, -3, 1, 1, 1])
            #expect(try connection.first("SELECT 1 WHERE FALSE") { $0.integer(0) } == nil)
        }
    }

    @Test func resultOfAStatement() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.perform { connection in
            try connection.run("CREATE TEMPORARY TABLE r (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)")
            let inserted = try connection.execute("INSERT INTO r (n) VALUES (?), (?)", [1, 2])
            #expect(inserted == MySQLResult(affectedRows: 2, lastInsertID: 1))
            #expect(try connection.execute("UPDATE r SET n = ?", [2]).affectedRows == 1)
            #expect(try connection.execute("DELETE FROM r WHERE n = ?", [9]).affectedRows == 0)
            #expect(try connection.execute("SELECT * FROM r").affectedRows == 0)
            // Mistakes in the parameters are reported before anything is sent.
            #expect(throws: MySQLError.self) { try connection.execute("INSERT INTO r (n) VALUES (?)", [1, 2]) }
            #expect(throws: MySQLError.self) { try connection.execute("INSERT INTO r (n) VALUES (?)", []) }
            #expect(throws: MySQLError.self) {
                try connection.execute("INSERT INTO r (n) VALUES (?)", [.timestamp(.max)])
            }
            #expect(connection.isUsable == true)
        }
    }

    @Test func everyDayThereAndBack() {
        let day: Int64 = 86_400_000_000
        let wrong = (-719_162...2_932_896 as ClosedRange<Int64>).first { number in
            MySQLTimestamp.components(number * day + 1).map(MySQLTimestamp.microseconds) != number * day + 1
        }
        #expect(wrong == nil)
        #expect(MySQLTimestamp.components(-719_162 * day - 1) == nil)
        #expect(MySQLTimestamp.components(2_932_897 * day) == nil)
    }
}
