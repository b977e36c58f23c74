import TestSupport
import Testing

@Suite("A MariaDB server for tests", .timeLimit(.minutes(3)))
struct MariaDBServerTests {
    @Test("what was committed survives a kill, on the same port")
    func kill() async throws {
        let server = try await MariaDBServer.start()
        #expect(server.url(database: "other") == "mysql://root:secret@127.0.0.1:\(server.port)/other")
        _ = try await server.sql("CREATE TABLE t (n INT); INSERT INTO t VALUES (1), (2)")
        server.kill()
        #expect(!server.isRunning)
        await #expect(throws: ServerFailure.self) { try await server.sql("SELECT 1") }

        try await server.restart(["--max-connections=37"])
        #expect(try await server.sql("SELECT SUM(n), @@port, @@max_connections FROM t") == "3\t\(server.port)\t37")
    }

    @Test("frozen it takes connections and answers nothing; thawed it goes on")
    func freeze() async throws {
        let server = try await MariaDBServer.start()
        server.freeze()
        let connection = try RawConnection(port: server.port, patience: 1)
        await #expect(throws: RawConnection.Failure.self) { try await connection.receive() }
        server.thaw()
        let greeting = try await RawConnection(port: server.port).receive()
        #expect(String(decoding: greeting, as: UTF8.self).contains("MariaDB"))
        #expect(try await server.sql("SELECT 1") == "1")
    }

    @Test("an option that it does not know: the error shows its log")
    func badOption() async throws {
        let failure = await #expect(throws: ServerFailure.self) { try await MariaDBServer.start(["--no-such-option"]) }
        #expect(failure?.description.contains("no-such-option") == true)
    }

    @Test("TLS, and nothing else on the port when it is told so")
    func tls() async throws {
        let files = try await TLSFiles.make()
        let server = try await MariaDBServer.start(files.mariadbOptions + ["--require-secure-transport=ON"])
        let query =
            "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'"
        func ask(_ options: String...) async throws -> String {
            try await runProgram(
                [
                    "mariadb", "--no-defaults", "--user=root", "--password=\(MariaDBServer.password)",
                    "--host=127.0.0.1", "--port=\(server.port)", "--skip-column-names", "--batch",
                    "--execute=\(query)",
                ] + options)
        }
        #expect(try await ask("--ssl-ca=\(files.ca)", "--ssl-verify-server-cert") == "1")
        await #expect(throws: ServerFailure.self) {
            try await ask("--ssl-ca=\(files.otherCA)", "--ssl-verify-server-cert")
        }
        await #expect(throws: ServerFailure.self) { try await ask("--skip-ssl") }
        #expect(try await server.sql("SELECT 1") == "1")
    }
}
