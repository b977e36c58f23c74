import Cryptography
import MySQLClient
import RedisClient

/// A deployment: all processes on one database. The database holds its random id and its secret key.
///
/// The first process creates them; `luciq db reset` replaces them.
struct Deployment: Sendable {
    /// In the names of channels: 16 hexadecimal digits.
    let id: String
    /// Never logged, never shown.
    let key: SecretKey
    /// Of cursors (`Backend.cursorEpoch`).
    let epoch: Int64

    /// Reads both, and creates them if there are none. If two processes do so at once, even on two nodes, one stores
    /// its own and both read that.
    ///
    /// - Throws: `MySQLError`; a deadlock if another node of a cluster was first: a retry succeeds.
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

    init(id: String, key: SecretKey, epoch: Int64 = 0) {
        self.id = id
        self.key = key
        self.epoch = epoch
    }

    /// Where Redis remembers the epoch, so that a database that was restored from a backup does not begin one a second
    /// time. Nothing is lost without it.
    var epochKey: String { "luciq:\(id):epoch" }
    /// Where Redis remembers how many rows of messages there were (`RowMemory`).
    var rowsKey: String { "luciq:\(id):rows" }

    private static func stored(_ connection: isolated MySQLConnection) throws -> Deployment? {
        try connection.first("SELECT name, bus_key, epoch FROM deployment WHERE place = 1") { row in
            Deployment(
                id: row.bytes(0).hexadecimal, key: SecretKey(Array(row.bytes(1))), epoch: row.integer(2))
        }
    }

    private static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: 0...255) } }
}
