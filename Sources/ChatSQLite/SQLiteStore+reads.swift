package import ChatCore
import GRDB

extension SQLiteStore: ReadStates {
    package func mark(_ batch: [ReadMark], within time: Duration) async throws -> [Result<MarkedRead, ChatError>] {
        try write { db in
            let chat = try Query(
                db,
                """
                SELECT chats.receipts FROM chats JOIN applications ON applications.id = application_id
                WHERE chats.id = ? AND application_id = ? AND removed_at IS NULL
                """)
            let stored = try Query(db, "SELECT number FROM chat_reads WHERE chat_id = ? AND user_id = ?")
            let store = try Query(
                db,
                """
                INSERT INTO chat_reads (chat_id, user_id, number) VALUES (?, ?, ?)
                ON CONFLICT (chat_id, user_id) DO UPDATE SET number = excluded.number,
                    peak = CASE WHEN excluded.number < number THEN max(number, ifnull(peak, 0)) ELSE peak END
                """)
            return try batch.map { mark in
                try chat.rebind(.integer(mark.chat.id.rawValue), .integer(mark.chat.tenant.rawValue))
                guard try chat.next() else { return .failure(.notFound) }
                let isShown = chat.integer(0) == Chat.Receipts.members.rawValue
                try stored.rebind(.integer(mark.chat.id.rawValue), .text(mark.user.text))
                let before = try stored.next() ? stored.integer(0) : 0
                let decided = Result { () throws(ChatError) in try mark.decide(on: before) }
                // Most devices say what another has said already: that writes nothing.
                if case .success(let number) = decided, number != before {
                    try store.rebind(.integer(mark.chat.id.rawValue), .text(mark.user.text), .integer(number))
                    try store.run()
                }
                return decided.map { MarkedRead(number: $0, isShown: isShown && $0 > before) }
            }
        }
    }

    package func readNumbers(of user: User.ID, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64] {
        try read(.readNumbers) { db in
            let query = try Query(db, Self.readNumber)
            var numbers: [Chat.ID: Int64] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue), .text(user.text))
                if try query.next() { numbers[chat] = query.integer(0) }
            }
            return numbers
        }
    }

    package func receipts(of users: [User.ID], in chat: Chat.ID) async throws -> [User.ID: Int64] {
        try read(.readNumbers) { db in
            let query = try Query(
                db, "SELECT max(number, ifnull(peak, 0)) FROM chat_reads WHERE chat_id = ? AND user_id = ?")
            var numbers: [User.ID: Int64] = [:]
            for user in users {
                try query.rebind(.integer(chat.rawValue), .text(user.text))
                if try query.next() { numbers[user] = query.integer(0) }
            }
            return numbers
        }
    }

    private static let readNumber = "SELECT number FROM chat_reads WHERE chat_id = ? AND user_id = ?"

    package func chatHeads(of chats: [Chat.ID]) async throws -> [Chat.ID: ChatHead] {
        try read(.heads) { db in
            let query = try Query(
                db,
                """
                SELECT revision, last_message_number FROM chats LEFT JOIN chat_heads ON chat_id = id WHERE id = ?
                """)
            var heads: [Chat.ID: ChatHead] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue))
                if try query.next() { heads[chat] = ChatHead(number: query.integer(1), revision: query.integer(0)) }
            }
            return heads
        }
    }

    package func tailRows(of chat: Chat.ID, numbers: ClosedRange<Int64>) async throws -> [TailRow] {
        try read(.tailRows) { db in
            let query = try Query(
                db,
                """
                SELECT number, sender, deleted_at IS NULL AND (thread IS NULL OR in_main = 1), mentions FROM messages
                WHERE chat_id = ? AND number BETWEEN ? AND ? ORDER BY number
                """, .integer(chat.rawValue), .integer(numbers.lowerBound), .integer(numbers.upperBound))
            var rows: [TailRow] = []
            // Most rows are of few senders.
            var last: (bytes: [UInt8], user: User.ID)?
            while try query.next() {
                var sender: User.ID?
                if !query.isNull(1) {
                    let bytes = query.bytes(1)
                    if let last, bytes.elementsEqual(last.bytes) {
                        sender = last.user
                    } else {
                        let user = User.ID(stored: query.text(1))
                        last = (Array(user.text.utf8), user)
                        sender = user
                    }
                }
                rows.append(
                    TailRow(
                        number: query.integer(0), sender: sender, counts: query.integer(2) == 1,
                        mentions: MessageRow.mentions(query, 3)))
            }
            return rows
        }
    }

    package func inbox(of user: User.ID, in tenant: Tenant.ID, limit: Int) async throws -> [InboxEntry] {
        try read(.inbox) { db in
            let query = try Query(
                db,
                """
                SELECT chats.id, chat_number, access,
                    (SELECT created_at FROM messages
                    WHERE messages.chat_id = chats.id AND messages.number = last_message_number),
                    \(MemberRow.columns)
                FROM chat_members JOIN chats ON chats.id = chat_id
                WHERE chat_members.application_id = ? AND user_id = ? AND removed_at IS NULL
                AND role <> \(Member.Role.banned.rawValue)
                ORDER BY chat_number DESC LIMIT ?
                """, .integer(tenant.rawValue), .text(user.text), .integer(Int64(limit)))
            var entries: [InboxEntry] = []
            while try query.next() {
                entries.append(
                    InboxEntry(
                        chat: Chat.ID(query.integer(0)), number: Chat.Number(query.integer(1)),
                        member: MemberRow.member(query, from: 4),
                        access: Chat.Access(rawValue: query.integer(2)) ?? .members,
                        lastAt: query.isNull(3) ? nil : Timestamp(microseconds: query.integer(3))))
            }
            return entries
        }
    }

    package func chats(_ ids: [Chat.ID]) async throws -> [Chat.ID: Chat] {
        try read(.chats) { db in
            let query = try Query(
                db, "SELECT number, created_at, \(ChatSettingsRow.columns) FROM chats WHERE id = ?")
            var chats: [Chat.ID: Chat] = [:]
            for id in ids {
                try query.rebind(.integer(id.rawValue))
                guard try query.next() else { continue }
                chats[id] = Chat(
                    number: Chat.Number(query.integer(0)), messagesCount: 0,
                    createdAt: Timestamp(microseconds: query.integer(1)),
                    settings: ChatSettingsRow.settings(query, from: 2))
            }
            return chats
        }
    }

    package func messages(_ numbers: [Chat.ID: Message.Number]) async throws -> [Chat.ID: Message] {
        try read(.messages) { db in
            let query = try Query(db, MessageRow.lookUp)
            var messages: [Chat.ID: Message] = [:]
            for (chat, number) in numbers {
                try query.rebind(.integer(chat.rawValue), .integer(number.rawValue))
                if try query.next() { messages[chat] = MessageRow.message(query) }
            }
            return messages
        }
    }
}
