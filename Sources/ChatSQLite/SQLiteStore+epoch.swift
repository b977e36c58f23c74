import ChatCore
import GRDB

extension SQLiteStore {
    /// `Backend.cursorEpoch`.
    func cursorEpoch() throws -> Int64 {
        try pool.read { db in
            let query = try Query(db, "SELECT epoch FROM cursor_epoch WHERE place = 1")
            return try query.next() ? query.integer(0) : 0
        }
    }

    func set(cursorEpoch epoch: Int64) throws {
        try write { try Query($0, "UPDATE cursor_epoch SET epoch = ? WHERE place = 1", .integer(epoch)).run() }
    }
}
