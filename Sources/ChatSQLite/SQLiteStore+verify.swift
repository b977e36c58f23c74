package import ChatCore
import GRDB

extension SQLiteStore {
    /// Walks the whole store in one snapshot: numbers dense from 1 and unique, counts equal to rows, no orphans.
    ///
    /// - Parameter progress: called now and then with messages walked and messages expected.
    /// - Throws: `ChatError.unavailable`.
    package func verify(
        progress: @escaping @Sendable (_ walked: Int64, _ expected: Int64) -> Void
    ) async throws -> StoreReport {
        try await scan { db in
            var report = StoreReport()
            for problem in try String.fetchAll(db, sql: "PRAGMA quick_check(100)") where problem != "ok" {
                report.add("The file is damaged: \(problem)")
            }
            try Self.verifyChats(&report, db)
            let expected = try Int64.fetchOne(db, sql: "SELECT ifnull(sum(messages_count), 0) FROM applications") ?? 0
            try Self.verifyMessages(&report, db) { progress($0, expected) }
            try Self.verifyKeys(&report, db)
            try Self.verifyChanges(&report, db)
            try Self.verifyThreads(&report, db)
            return report
        }
    }

    /// Applications against their chats: both are walked in the order of the application's id.
    private static func verifyChats(_ report: inout StoreReport, _ db: Database) throws {
        let owners = try Query(
            db,
            "SELECT id, chats_count, last_chat_number, messages_count, token, removed_at FROM applications ORDER BY id")
        let chats = try Query(
            db,
            """
            SELECT application_id, number, messages_count, last_message_number FROM chats
            ORDER BY application_id, number
            """)
        var hasChat = try chats.next()
        func orphans(before owner: Int64) throws {
            while hasChat, chats.integer(0) < owner {
                report.chats += 1
                report.add("Chat \(chats.integer(1)) belongs to no application (id \(chats.integer(0)))")
                hasChat = try chats.next()
            }
        }
        while try owners.next() {
            report.applications += 1
            let owner = owners.integer(0)
            let name = "Application \(Tenant.Token(owners.text(4)).map(\.description) ?? "with a malformed token")"
            if Tenant.Token(owners.text(4)) == nil { report.add("\(name): id \(owner)") }
            try orphans(before: owner)
            var numbers = DenseCheck(what: "\(name): chat")
            var messages: Int64 = 0
            while hasChat, chats.integer(0) == owner {
                if owners.isNull(5) { numbers.see(chats.integer(1), &report) }
                messages &+= chats.integer(2)
                hasChat = try chats.next()
            }
            report.chats += numbers.count
            // Its deletion is under way.
            guard owners.isNull(5) else { continue }
            report.expect(owners.integer(1), numbers.count, "\(name): chats_count")
            report.expect(owners.integer(2), numbers.last, "\(name): last_chat_number")
            report.expect(owners.integer(3), messages, "\(name): messages_count")
        }
        try orphans(before: .max)
    }

    /// Chats against their messages: both are walked in the order of the chat's id.
    private static func verifyMessages(
        _ report: inout StoreReport,
        _ db: Database,
        progress: (Int64) -> Void
    ) throws {
        let chats = try Query(
            db,
            """
            SELECT id, messages_count, last_message_number, application_id, number,
                (SELECT removed_at FROM applications WHERE id = application_id)
            FROM chats ORDER BY id
            """)
        let messages = try Query(db, "SELECT chat_id, number FROM messages ORDER BY chat_id, number")
        var hasMessage = try messages.next()
        func step() throws {
            report.messages += 1
            if report.messages.isMultiple(of: 65_536) { progress(report.messages) }
            hasMessage = try messages.next()
        }
        func orphans(before chat: Int64) throws {
            while hasMessage, messages.integer(0) < chat {
                report.add("Message \(messages.integer(1)) belongs to no chat (id \(messages.integer(0)))")
                try step()
            }
        }
        while try chats.next() {
            let chat = chats.integer(0)
            try orphans(before: chat)
            let name = "Chat \(chats.integer(4)) of application id \(chats.integer(3))"
            var numbers = DenseCheck(what: "\(name): message")
            let isWhole = chats.isNull(5)
            while hasMessage, messages.integer(0) == chat {
                if isWhole { numbers.see(messages.integer(1), &report) }
                try step()
            }
            guard isWhole else { continue }
            report.expect(chats.integer(1), numbers.count, "\(name): messages_count")
            report.expect(chats.integer(2), numbers.last, "\(name): last_message_number")
        }
        try orphans(before: .max)
        progress(report.messages)
    }

    /// Checks that each idempotency key's row exists.
    private static func verifyKeys(_ report: inout StoreReport, _ db: Database) throws {
        let lost = try Query(
            db,
            """
            SELECT scope, scope_id, number FROM idempotency_keys AS keys
            WHERE CASE scope
                WHEN 'chat' THEN NOT EXISTS (
                    SELECT 1 FROM messages WHERE chat_id = keys.scope_id AND number = keys.number)
                ELSE NOT EXISTS (
                    SELECT 1 FROM chats WHERE application_id = keys.scope_id AND number = keys.number)
                END
            """)
        while try lost.next() {
            report.add("Idempotency key of \(lost.text(0)) id \(lost.integer(1)): number \(lost.integer(2)) is missing")
        }
    }
}

/// Checks the numbers of one sequence in ascending order.
private struct DenseCheck {
    let what: String
    var count: Int64 = 0
    var last: Int64 = 0

    init(what: String) { self.what = what }

    mutating func see(_ number: Int64, _ report: inout StoreReport) {
        if number < 1 {
            report.add("\(what) \(number) is below 1")
        } else if number == last &+ 2 {
            report.add("\(what) \(last + 1) is missing")
        } else if number > last &+ 1 {
            report.add("\(what)s \(last + 1) to \(number - 1) are missing")
        } else if number == last {
            report.add("\(what) \(number) is there twice")
        }
        count += 1
        last = max(last, number)
    }
}

extension StoreReport {
    fileprivate mutating func expect(_ stored: Int64, _ counted: Int64, _ what: String) {
        if stored != counted { add("\(what) is \(stored), but the rows say \(counted)") }
    }
}
