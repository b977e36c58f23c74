import TestSupport
import Testing

@testable import MySQLClient

@Suite(.timeLimit(.minutes(3)))
struct ErrorTests {
    @Test(arguments: [
        ("Duplicate entry '1-2' for key 'index_on_chat'", "index_on_chat"),
        ("Duplicate entry '1-2' for key 'messages.index_on_chat'", "index_on_chat"),
        ("Doppelter Eintrag 'a' for key 'b' für Schlüssel 'PRIMARY'", "PRIMARY"),
        ("Can't write; duplicate key in table", ""),
        ("", ""),
    ])
    func nameOfTheKey(message: String, index: String) {
        #expect(MySQLError(number: 1062, message: message).kind == .duplicateKey(index: index))
    }

    @Test func beforeAndAfterConnecting() {
        #expect(MySQLError(connecting: 2013, message: "").kind == .cannotConnect)
        #expect(MySQLError(number: 2013, message: "").kind == .connectionLost)
        #expect(MySQLError(number: 2026, message: "").kind == .connectionLost)
        #expect(MySQLError(connecting: 1040, message: "").kind == .tooManyConnections)
        let passedOn =
            "Received error packet before completion of TLS handshake. It cannot be verified: 1040 - Too many"
        #expect(MySQLError(connecting: 2002, message: passedOn).kind == .tooManyConnections)
        #expect(MySQLError(number: 1030, message: "Got error 28 \"No space left\" from engine").kind == .diskFull)
        #expect(MySQLError(number: 1030, message: "Got error 168 from engine").kind == .other)
    }

    /// The error of a Galera node that is cut off, and other errors that end a connection.
    @Test func whatMakesANodeBeLeft() {
        let notReady = MySQLError(number: 1047, message: "WSREP has not yet prepared node for application use")
        #expect(notReady.kind == .notReady && notReady.kind.isFatal)
        #expect(MySQLError(number: 1047, message: "Unknown command").kind == .other)
        let commit = MySQLError(number: 1180, message: "Got error 6 \"No such device or address\" during COMMIT")
        #expect(commit.kind == .commitFailed && commit.kind.isFatal)
        #expect(MySQLError(number: 1153, message: "").kind == .packetTooLarge)
        #expect(MySQLError(number: 2020, message: "").kind.isFatal)
        #expect(MySQLError(number: 3101, message: "").kind == .deadlock)
    }

    @Test func fromTheServer() async throws {
        let server = try await MariaDBServer.shared()
        let connection = try await MySQLConnection.connect(server.configuration)
        try await connection.run("CREATE TABLE parents (id INT PRIMARY KEY)")
        try await connection.run(
            """
            CREATE TABLE children (id INT PRIMARY KEY, parent_id INT NOT NULL, name VARCHAR(5),
            UNIQUE INDEX index_children_on_name (name), FOREIGN KEY (parent_id) REFERENCES parents (id))
            """)
        try await connection.execute("INSERT INTO parents VALUES (?)", [1])
        let insert = "INSERT INTO children VALUES (?, ?, ?)"
        try await connection.execute(insert, [1, 1, "ann"])
        let cases: [(String, [MySQLValue], MySQLError.Kind)] = [
            (insert, [1, 1, "bob"], .duplicateKey(index: "PRIMARY")),
            (insert, [2, 1, "ann"], .duplicateKey(index: "index_children_on_name")),
            (insert, [2, 9, "bob"], .foreignKey),
            ("DELETE FROM parents WHERE id = ?", [1], .foreignKey),
            (insert, [2, 1, "too long"], .other),
            (insert, [2, nil, "bob"], .other),
            ("SELECT * FROM nowhere", [], .noSuchTable),
            ("SELEKT", [], .other),
            ("KILL QUERY CONNECTION_ID()", [], .interrupted),
        ]
        for (sql, parameters, expected) in cases {
            #expect(await kind { try await connection.execute(sql, parameters) } == expected, "\(sql) \(parameters)")
            #expect(await connection.isUsable)
        }
        #expect(await kind { try await connection.run("USE nowhere") } == .unknownDatabase)
        #expect(await kind { try await connection.run("SELEKT") } == .other)
        try await connection.run("SET SESSION max_statement_time = 0.05")
        #expect(await kind { try await connection.run("SELECT SLEEP(5)") } == .interrupted)
        #expect(
            await kind {
                try await connection.perform { connection in
                    try connection.query("SELECT seq, SLEEP(seq > 9) FROM seq_1_to_1000") { _ in true }
                }
            } == .interrupted)
        try await connection.run("START TRANSACTION READ ONLY")
        #expect(await kind { try await connection.execute(insert, [3, 1, "eve"]) } == .readOnly)
        try await connection.run("ROLLBACK")
        #expect(await connection.isUsable)
    }

    @Test func whileConnecting() async throws {
        let server = try await MariaDBServer.shared()
        func connecting(_ change: (inout MySQLConfiguration) -> Void) async -> MySQLError? {
            var configuration = server.configuration
            configuration.connectTimeout = .seconds(2)
            change(&configuration)
            do throws(MySQLError) {
                _ = try await MySQLConnection.connect(configuration)
                return nil
            } catch {
                return error
            }
        }
        let wrongPassword = await connecting { $0.password = "s3cret" }
        #expect(wrongPassword?.kind == .accessDenied)
        #expect(wrongPassword?.description.contains("s3cret") == false)
        #expect(await connecting { $0.user = "nobody" }?.kind == .accessDenied)
        #expect(await connecting { $0.database = "nowhere" }?.kind == .unknownDatabase)
        #expect(await connecting { $0.host = "no-such-host.invalid" }?.kind == .cannotConnect)
        #expect(await connecting { $0.port = 1 }?.kind == .cannotConnect)
        #expect(await connecting { $0.socket = "/nowhere/sock" }?.kind == .cannotConnect)
        #expect(await connecting { $0.tlsMode = .required }?.kind == .cannotConnect)
        #expect(await connecting { $0.tlsMode = .verifyIdentity }?.kind == .cannotConnect)
        #expect(await connecting { $0.tlsMode = .preferred }?.kind == nil)
    }

    @Test func deadlock() async throws {
        let server = try await MariaDBServer.shared()
        let one = try await MySQLConnection.connect(server.configuration)
        let two = try await MySQLConnection.connect(server.configuration)
        try await one.run("CREATE TABLE locks (id INT PRIMARY KEY, n INT)")
        try await one.run("INSERT INTO locks VALUES (1, 0), (2, 0)")
        let update = "UPDATE locks SET n = n + 1 WHERE id = ?"
        for (connection, id) in [(one, 1), (two, 2)] as [(MySQLConnection, MySQLValue)] {
            try await connection.run("BEGIN")
            try await connection.execute(update, [id])
        }
        async let first = kind { try await one.execute(update, [2]) }
        async let second = kind { try await two.execute(update, [1]) }
        let kinds = await [first, second]
        #expect(kinds.contains(.deadlock))
        #expect(kinds.contains(nil))
        try await one.run("ROLLBACK")
        try await two.run("ROLLBACK")

        try await one.run("BEGIN")
        try await one.execute(update, [1])
        try await two.run("SET innodb_lock_wait_timeout = 1")
        #expect(await kind { try await two.execute(update, [1]) } == .lockTimeout)
        #expect(await two.isUsable)
    }
}
