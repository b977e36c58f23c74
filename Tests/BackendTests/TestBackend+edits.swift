import MySQLClient
import TestSupport

@testable import ChatCluster
@testable import ChatCore
@testable import ChatSQLite

extension TestBackend {
    /// Changes all blocks, as nothing does.
    func changeBlocks(_ change: String) async throws {
        switch backend.searchIndex {
        case let store as SQLiteStore: try store.write { try Query($0, "UPDATE search_blocks SET \(change)").run() }
        case let store as MySQLStore:
            try await store.writes.withConnection { _ = try $0.execute("UPDATE search_blocks SET \(change)") }
        default: preconditionFailure("no such store")
        }
    }

    /// Changes a message's text as an edit will: the row, and with it the block that covers it.
    func edit(_ number: Int64, in chat: Chat.ID, to body: String, dropsBlock: Bool = true) async throws {
        switch backend.searchIndex {
        case let store as SQLiteStore:
            try store.write { db in
                let update = try Query(
                    db, "UPDATE messages SET body = ? WHERE chat_id = ? AND number = ?", .text(body),
                    .integer(chat.rawValue), .integer(number))
                try update.run()
                if dropsBlock { try SQLiteStore.dropBlock(covering: number, of: chat, db) }
            }
        case let store as MySQLStore:
            try await store.writes.withConnection { connection in
                try connection.transaction { connection in
                    try connection.execute(
                        "UPDATE messages SET body = ? WHERE chat_id = ? AND number = ?",
                        [.text(body), .integer(chat.rawValue), .integer(number)])
                    if dropsBlock {
                        let key = MessageLookups.Key(chat: chat, number: Message.Number(number))
                        try MySQLStore.dropBlocks(covering: [key], connection)
                    }
                }
            }
        default: preconditionFailure("no such store")
        }
    }
}
