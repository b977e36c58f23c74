import Cryptography
import Foundation
import GRDB

/// The server's own keys, by name: `tickets` (`Backend.ticketKey`).
enum Migration0010Secrets {
    static let identifier = "0010-secrets"

    static func migrate(_ db: Database) throws {
        try db.execute(sql: "CREATE TABLE server_secrets (name TEXT PRIMARY KEY, secret BLOB NOT NULL) WITHOUT ROWID")
        try db.execute(
            sql: "INSERT INTO server_secrets (name, secret) VALUES ('tickets', ?)",
            arguments: [Data(SecretKey.random().exposedBytes)])
    }
}
