import ChatCore
import GRDB

extension ChatError {
    /// Wraps an error of the driver, with SQLite's extended code. SQL and paths stay out of it: a client may see the reason.
    init(driver error: any Error) {
        guard let error = error as? DatabaseError else {
            self = .unavailable(reason: "The database failed")
            return
        }
        let reason =
            switch error.resultCode {
            case DatabaseError.SQLITE_FULL: "The disk is full"
            case DatabaseError.SQLITE_BUSY: "The database is locked by another process"
            case DatabaseError.SQLITE_READONLY: "The database cannot be written"
            case DatabaseError.SQLITE_IOERR: "The disk failed"
            case DatabaseError.SQLITE_CORRUPT, DatabaseError.SQLITE_NOTADB: "The database file is damaged"
            default: "The database failed"
            }
        self = .unavailable(reason: "\(reason) (SQLite error \(error.extendedResultCode.rawValue))")
    }
}
