package import ChatCore
import GRDB

extension SQLiteStore {
    /// Numbers are dense here, and none is void.
    package func entries(in chat: Chat.ID, after number: Int64, limit: StreamLimits.Size) async throws -> [LogEntry] {
        try read(.entries) { db in
            let query = try Self.walk(chat, Page(after: number), limit: limit.messages, db)
            var entries: [LogEntry] = []
            var bytes = 0
            while bytes < limit.bytes, try query.next() {
                entries.append(LogEntry(MessageRow.message(query)))
                bytes += MessageRow.textsInJSON(query)
            }
            return entries
        }
    }

    package func lastNumbers(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try lastNumbers(of: chats, for: .lastNumbers)
    }

    private func lastNumbers(
        of chats: [Chat.ID], for operation: ReadObserver.Operation
    ) throws -> [Chat.ID: Int64] {
        try read(operation) { db in
            let query = try Query(db, "SELECT last_message_number FROM chats WHERE id = ?")
            var numbers: [Chat.ID: Int64] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue))
                if try query.next() { numbers[chat] = query.integer(0) }
            }
            return numbers
        }
    }

    package func tail(of chat: Chat.ID) async throws -> LogTail {
        LogTail(upTo: try lastNumbers(of: [chat], for: .tail)[chat] ?? 0)
    }

    /// Numbers are dense here: none is ever void, and none missing below another.
    package func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws {}
}
