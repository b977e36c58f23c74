import TestSupport

@testable import MySQLClient

extension MariaDBServer {
    /// The server most tests share.
    static func shared() async throws -> MariaDBServer { try await sharedStart.value }

    private static let sharedStart = Task { try await MariaDBServer.start() }

    /// For a user with all rights, on an empty database.
    var configuration: MySQLConfiguration {
        MySQLConfiguration(port: port, user: "root", password: Self.password, database: "luciq")
    }
}

extension MySQLConnection {
    /// Waits until another connection runs a statement with such a text.
    func waitForStatement(_ text: String) async throws {
        try await eventually("another connection runs \(text)") {
            try await perform { connection in
                try connection.first(
                    "SELECT 1 FROM information_schema.processlist WHERE info LIKE ? AND id <> CONNECTION_ID()",
                    [.text("%\(text)%")]
                ) { $0.integer(0) } != nil
            }
        }
    }
}

/// The kind of the error that the body throws; nil when it throws none, or another.
func kind(_ body: () async throws -> Void) async -> MySQLError.Kind? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? MySQLError)?.kind
    }
}
