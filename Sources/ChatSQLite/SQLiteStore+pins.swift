package import ChatCore
import GRDB

extension SQLiteStore {
    package func pins(of chat: Chat.ID) async throws -> [Pin] {
        try read(.pins) { db in
            let query = try Query(
                db,
                """
                SELECT number, pinned_by, pinned_at FROM pins WHERE chat_id = ? ORDER BY number LIMIT \(2 * Pin.most)
                """, .integer(chat.rawValue))
            var pins: [Pin] = []
            while try query.next() { pins.append(Pin(query)) }
            return pins
        }
    }

    static func pin(of number: Message.Number, in chat: Chat.ID, _ db: Database) throws -> Pin? {
        let query = try Query(
            db, "SELECT number, pinned_by, pinned_at FROM pins WHERE chat_id = ? AND number = ?",
            .integer(chat.rawValue), .integer(number.rawValue))
        return try query.next() ? Pin(query) : nil
    }

    static func pinCount(of chat: Chat.ID, _ db: Database) throws -> Int {
        let query = try Query(db, "SELECT count(*) FROM pins WHERE chat_id = ?", .integer(chat.rawValue))
        return try query.next() ? Int(query.integer(0)) : 0
    }

    /// - Parameter pin: nil: it is taken back.
    static func set(_ pin: Pin?, of number: Message.Number, in chat: Chat.ID, _ db: Database) throws {
        guard let pin else {
            return try Query(
                db, "DELETE FROM pins WHERE chat_id = ? AND number = ?",
                .integer(chat.rawValue), .integer(number.rawValue)
            ).run()
        }
        try Query(
            db, "INSERT INTO pins (chat_id, number, pinned_by, pinned_at) VALUES (?, ?, ?, ?)",
            .integer(chat.rawValue), .integer(number.rawValue), pin.user.map { .text($0.text) } ?? .null,
            .integer(pin.at.microseconds)
        ).run()
    }
}

extension Pin {
    /// - Parameter row: the number, the user and the time.
    fileprivate init(_ row: borrowing Query) {
        self.init(
            number: Message.Number(row.integer(0)), user: row.isNull(1) ? nil : User.ID(stored: row.text(1)),
            at: Timestamp(microseconds: row.integer(2)))
    }
}
