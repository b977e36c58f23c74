import Foundation

/// The data of an empty server, made once a process and copied for each server.
enum MariaDBTemplate {
    /// What the template and the servers made from it must agree on. Nothing is flushed to the disk: the tests only
    /// need the data to survive the server's death, and for that the system's cache is enough.
    static let options =
        ["--innodb-log-file-size=16M", "--innodb-flush-method=nosync", "--debug-no-sync"]
        + (getuid() == 0 ? ["--user=root"] : [])  // mariadbd does not run as root unless told to.

    /// Deleted by the reaper, when the process is gone.
    static func folder() async throws -> TemporaryFolder { try await made.value() }

    private static let made = Once { try await make() }

    private static func make() async throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try Reaper.shared.get().folder(folder.path)
        // The installation makes root@127.0.0.1 with no password.
        let accounts = """
            FLUSH PRIVILEGES;
            CREATE DATABASE luciq CHARACTER SET utf8mb4;
            CREATE OR REPLACE USER root@localhost IDENTIFIED BY '\(MariaDBServer.password)';
            CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '\(MariaDBServer.password)';
            GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;
            GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;

            """
        let file = try TemporaryFolder()
        try Data(accounts.utf8).write(to: URL(fileURLWithPath: file.file("accounts.sql")))
        try await runProgram(
            [
                "mariadb-install-db", "--no-defaults", "--datadir=\(folder.path)", "--tmpdir=\(file.path)",
                "--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=normal",
                "--extra-file=\(file.file("accounts.sql"))",
            ] + options, within: 60)
        return folder
    }
}
