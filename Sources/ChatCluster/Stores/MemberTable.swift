import ChatCore
import MySQLClient

/// The rows of chats' members, and their changes.
enum MemberTable {
    static let columns = "user_id, role, from_number, to_number, chat_members.created_at, removed_at"

    /// - Parameter column: the first of them.
    /// - Returns: a banned member for a role that a newer version may have stored.
    static func member(_ row: borrowing MySQLRow, from column: Int = 0) -> Member {
        Member(
            user: User.ID(stored: row.text(column)),
            role: Member.Role(rawValue: row.integer(column + 1)) ?? .banned,
            numbers: NumberSpan(
                first: row.integer(column + 2), last: row.isNull(column + 3) ? .max : row.integer(column + 3)),
            joinedAt: Timestamp(microseconds: row.timestamp(column + 4)),
            removedAt: row.isNull(column + 5) ? nil : Timestamp(microseconds: row.timestamp(column + 5)))
    }

    static func member(
        _ user: User.ID, in chat: Chat.ID, _ connection: isolated MySQLConnection
    ) throws -> Member? {
        try connection.first(
            "SELECT \(columns) FROM chat_members WHERE chat_id = ? AND user_id = ?",
            [.integer(chat.rawValue), .text(user.text)]
        ) { member($0) }
    }

    /// Tells a search what is there for its viewer.
    static func admit(
        to viewer: User.ID, in tenant: Tenant.ID, _ search: inout TenantSearchWalk,
        _ connection: isolated MySQLConnection
    ) throws {
        try connection.query(
            """
            SELECT id, access, \(columns) FROM \(NumberedTable.chats.byNumber)
            LEFT JOIN chat_members ON chat_id = id AND user_id = ? WHERE chats.application_id = ? AND batch_id >= 0
            """, [.text(viewer.text), .integer(tenant.rawValue)]
        ) { row in
            try search.count(bytes: SearchWalk.row)
            search.admit(
                Chat.ID(row.integer(0)), access: Chat.Access(rawValue: row.integer(1)) ?? .members,
                member: row.isNull(2) ? nil : member(row, from: 2))
            return true
        }
    }

    /// Locks a chat's row: no message of a user is stored there until the transaction has ended (`AuthorCheck`).
    ///
    /// - Returns: its settings; nil if it is not there, or not this tenant's.
    private static func lock(
        _ chat: ChatPlace, _ connection: isolated MySQLConnection
    ) throws -> Chat.Settings? {
        try connection.first(
            """
            SELECT \(ChatSettingsRow.columns) FROM chats
            WHERE id = ? AND application_id = ? AND number = ? AND batch_id >= 0 FOR UPDATE
            """, [.integer(chat.id.rawValue), .integer(chat.tenant.rawValue), .integer(chat.number.rawValue)]
        ) { ChatSettingsRow.settings($0, from: 0) }
    }

    /// The caller holds the application's lock.
    static func apply(
        _ change: MemberChange, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        do {
            let chat = change.chat.id
            guard let settings = try lock(change.chat, connection) else { return .failure(.notFound) }
            let target = try member(change.user, in: chat, connection)
            let actor = try change.actor.flatMap { try member($0, in: chat, connection) }
            let decision = try change.decide(
                in: settings, actor: actor, target: target, at: now,
                hasOtherOwner: {
                    try connection.first(
                        """
                        SELECT 1 FROM chat_members FORCE INDEX (index_chat_members_on_role)
                        WHERE chat_id = ? AND removed_at IS NULL AND role = \(Member.Role.owner.rawValue) AND user_id <> ?
                        LIMIT 1
                        """, [.integer(chat.rawValue), .text(change.user.text)]
                    ) { $0.integer(0) } != nil
                },
                lastNumber: {
                    try connection.first(
                        """
                        SELECT number FROM \(NumberedTable.messages.byNumber)
                        WHERE chat_id = ? AND number <= \(NumberedTable.lastNumber) ORDER BY number DESC LIMIT 1
                        """, [.integer(chat.rawValue)]
                    ) { $0.integer(0) } ?? 0
                })
            switch decision {
            case .store(let member): try store(member, in: change.chat, isNew: target == nil, connection)
            case .delete:
                try connection.execute(
                    "DELETE FROM chat_members WHERE chat_id = ? AND user_id = ?",
                    [.integer(chat.rawValue), .text(change.user.text)])
            case .nothing: return .success(.nothing)
            }
            try MemberChanges.record(change.chat, change.user, connection)
            return .success(.changedAccess)
        } catch let error as ChatError {
            return .failure(error)
        }
    }

    private static func store(
        _ member: Member, in chat: ChatPlace, isNew: Bool, _ connection: isolated MySQLConnection
    ) throws {
        let values: [MySQLValue] = [
            .integer(member.role.rawValue), .integer(member.numbers.first),
            member.numbers.last == .max ? .null : .integer(member.numbers.last),
            .timestamp(member.joinedAt.microseconds),
            member.removedAt.map { .timestamp($0.microseconds) } ?? .null,
        ]
        let place: [MySQLValue] = [.integer(chat.id.rawValue), .text(member.user.text)]
        if isNew {
            try connection.execute(
                """
                INSERT INTO chat_members (application_id, chat_number, role, from_number, to_number, created_at,
                    removed_at, chat_id, user_id)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, [.integer(chat.tenant.rawValue), .integer(chat.number.rawValue)] + values + place)
        } else {
            try connection.execute(
                """
                UPDATE chat_members SET role = ?, from_number = ?, to_number = ?, created_at = ?, removed_at = ?
                WHERE chat_id = ? AND user_id = ?
                """, values + place)
        }
    }

    /// Makes the owner of a chat that the same transaction has stored.
    static func add(
        owner: User.ID, of place: OwnedNumber, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws {
        try connection.execute(
            """
            INSERT INTO chat_members (application_id, chat_id, chat_number, user_id, role, from_number, created_at)
            SELECT application_id, id, number, ?, \(Member.Role.owner.rawValue), 1, ? FROM chats
            WHERE application_id = ? AND number = ?
            """,
            [.text(owner.text), .timestamp(now.microseconds), .integer(place.owner), .integer(place.number)])
    }

    /// The caller holds the application's lock.
    static func apply(
        _ update: ChatUpdate, at now: Timestamp, _ connection: isolated MySQLConnection
    ) throws -> Result<TenantChange.Effect, ChatError> {
        guard let settings = try lock(update.chat, connection) else { return .failure(.notFound) }
        let actor = try update.actor.flatMap { try member($0, in: update.chat.id, connection) }
        let decided = Result { () throws(ChatError) in try update.decide(in: settings, actor: actor) }
        guard case .success((let new, let effect)) = decided, effect != .nothing else {
            return decided.map { $0.effect }
        }
        try connection.execute(
            "UPDATE chats SET name = ?, metadata = ?, access = ?, history = ?, receipts = ?, updated_at = ? WHERE id = ?",
            new.values + [.timestamp(now.microseconds), .integer(update.chat.id.rawValue)])
        if effect == .changedAccess { try MemberChanges.record(update.chat, nil, connection) }
        return .success(effect)
    }
}

/// The changes of who may see what in chats: the table `member_changes`, which works as `access_changes` does.
enum MemberChanges {
    private static let keptDays = 1

    /// Call it within the transaction of the change.
    ///
    /// - Parameter user: nil for all.
    static func record(
        _ chat: ChatPlace, _ user: User.ID?, _ connection: isolated MySQLConnection
    ) throws {
        try connection.execute(
            "DELETE FROM member_changes WHERE changed_at < UTC_TIMESTAMP(6) - INTERVAL \(keptDays) DAY LIMIT 100")
        try connection.execute(
            """
            INSERT INTO member_changes (changed_at, id, application_id, chat_id, chat_number, user_id)
            VALUES (UTC_TIMESTAMP(6), ?, ?, ?, ?, ?)
            """,
            [
                .integer(.random(in: .min ... .max)), .integer(chat.tenant.rawValue), .integer(chat.id.rawValue),
                .integer(chat.number.rawValue), user.map { .text($0.text) } ?? .null,
            ])
    }

    static let reader = ChangeReader<MembersChanged>(
        table: "member_changes", columns: "application_id, chat_id, chat_number, user_id"
    ) { row in
        MembersChanged(
            tenant: Tenant.ID(row.integer(2)), chat: Chat.ID(row.integer(3)), number: Chat.Number(row.integer(4)),
            user: row.isNull(5) ? nil : User.ID(stored: row.text(5)))
    }
}
