import ChatCore
import GRDB

extension ChatError {
    /// Wraps an error of the driver. SQL and paths stay out of it: a client may see the reason.
    init(driver error: any Error) {
        switch (error as? DatabaseError)?.resultCode {
        case DatabaseError.SQLITE_FULL: self = .unavailable(reason: "The disk is full")
        case DatabaseError.SQLITE_BUSY: self = .unavailable(reason: "The database is locked by another process")
        case DatabaseError.SQLITE_READONLY: self = .unavailable(reason: "The database cannot be written")
        case DatabaseError.SQLITE_IOERR: self = .unavailable(reason: "The disk failed")
        case DatabaseError.SQLITE_CORRUPT, DatabaseError.SQLITE_NOTADB:
            self = .unavailable(reason: "The database file is damaged")
        case let code?: self = .unavailable(reason: "The database failed (SQLite error \(code.rawValue))")
        case nil: self = .unavailable(reason: "The database failed")
        }
    }
}
