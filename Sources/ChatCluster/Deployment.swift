import Cryptography
import MySQLClient
import RedisClient

/// Which deployment this is: all processes on one database, known by a random id and a secret key that are kept in it.
///
/// They are made once, by whichever process comes first, and anew by `luciq db reset`.
struct Deployment: Sendable {
    /// In the names of channels: 16 hexadecimal digits.
    let id: String
    /// Never logged, never shown.
    let key: SecretKey

    /// Reads them, and makes them where there are none yet. Of two processes that do so at once, on two nodes too, one
    /// stores its own and both read that.
    ///
    /// - Throws: `MySQLError`; a deadlock where another node of a cluster was first, after which the same succeeds.
    init(_ connection: isolated MySQLConnection) throws {
        if let stored = try Self.stored(connection) {
            self = stored
            return
        }
        try connection.execute(
            "INSERT IGNORE INTO deployment (place, name, bus_key) VALUES (1, ?, ?)",
            [.bytes(Self.random(8)), .bytes(Self.random(32))])
        guard let stored = try Self.stored(connection) else {
            throw MySQLError(.other, "The table deployment has no row 1")
        }
        self = stored
    }

    init(id: String, key: SecretKey) {
        self.id = id
        self.key = key
    }

    private static func stored(_ connection: isolated MySQLConnection) throws -> Deployment? {
        try connection.first("SELECT name, bus_key FROM deployment WHERE place = 1") { row in
            Deployment(id: row.bytes(0).hexadecimal, key: SecretKey(Array(row.bytes(1))))
        }
    }

    private static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: 0...255) } }
}
