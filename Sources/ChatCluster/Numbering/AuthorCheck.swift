import ChatCore
import MySQLClient

/// Whether the users of a batch may store what they send, as of its own transaction.
///
/// It shares the rows that it reads until the transaction ends. A block and a revocation lock the user's or the
/// application's alone; a change of members so locks the chat's (`MemberTable`): in an open chat a user who is banned has no
/// row yet. So they wait for the batch, and are not answered before. `TenantLocks` tells the order of the locks.
enum AuthorCheck {
    /// What is looked at.
    enum Half: CaseIterable {
        /// The applications and the users.
        case authors
        /// The chats and their members.
        case places
    }

    /// One statement a batch; none if no entry is a user's.
    ///
    /// - Parameter indices: of the entries.
    /// - Returns: the entries that are not stored, by their place in the batch.
    static func refusals<Entry: NumberedEntry>(
        of indices: some Sequence<Int>, in entries: [Entry], only halves: [Half] = Half.allCases,
        _ connection: isolated MySQLConnection
    ) throws -> [Int: ChatError] {
        var rows = AuthorRows()
        let sent = indices.compactMap { index in entries[index].author.user.map { (entry: index, user: $0) } }
        for (index, user) in sent {
            let entry = entries[index]
            if halves.contains(.authors) { rows.want(user, of: entry.tenant) }
            if halves.contains(.places), let chat = entry.sentTo { rows.want(user, in: chat) }
        }
        try rows.read(connection)
        var refusals: [Int: ChatError] = [:]
        for (index, user) in sent {
            let entry = entries[index]
            if halves.contains(.places), let chat = entry.sentTo { refusals[index] = rows.refusal(of: user, in: chat) }
            guard halves.contains(.authors) else { continue }
            refusals[index] = entry.author.refusal(rows.standing(of: user, of: entry.tenant)) ?? refusals[index]
        }
        return refusals
    }
}

/// The rows of one check.
private struct AuthorRows {
    /// A part of the statement, in the order of the locks.
    private enum Part: Int64, CaseIterable { case applications, users, chats, members }

    private struct Key: Hashable {
        /// An application or a chat.
        let owner: Int64
        var user: User.ID?

        static func precedes(_ left: Key, _ right: Key) -> Bool {
            if left.owner != right.owner { return left.owner < right.owner }
            return (left.user?.text ?? "").utf8.lexicographicallyPrecedes((right.user?.text ?? "").utf8)
        }
    }

    private var wanted: [Part: Set<Key>] = [:]
    /// Up to when tokens are refused.
    private var applications: [Int64: Timestamp?] = [:]
    private var users: [Key: UserStanding] = [:]
    private var chats: [Int64: Chat.Access] = [:]
    private var members: [Key: (role: Member.Role, isRemoved: Bool)] = [:]

    mutating func want(_ user: User.ID, of tenant: Tenant.ID) {
        wanted[.applications, default: []].insert(Key(owner: tenant.rawValue))
        wanted[.users, default: []].insert(Key(owner: tenant.rawValue, user: user))
    }

    mutating func want(_ user: User.ID, in chat: Chat.ID) {
        wanted[.chats, default: []].insert(Key(owner: chat.rawValue))
        wanted[.members, default: []].insert(Key(owner: chat.rawValue, user: user))
    }

    /// - Returns: nil if the user, or its application, is not there.
    func standing(of user: User.ID, of tenant: Tenant.ID) -> UserStanding? {
        guard let all = applications[tenant.rawValue],
            let own = users[Key(owner: tenant.rawValue, user: user)]
        else { return nil }
        return UserStanding(isBlocked: own.isBlocked, validAfter: [all, own.validAfter].compactMap(\.self).max())
    }

    /// - Returns: nil if it may write; also for a chat that is gone, which its foreign key finds.
    func refusal(of user: User.ID, in chat: Chat.ID) -> ChatError? {
        guard let access = chats[chat.rawValue] else { return nil }
        let member = members[Key(owner: chat.rawValue, user: user)]
        return Standing.refusalToWrite(access: access, role: member?.role, isRemoved: member?.isRemoved ?? false)
    }

    /// By one statement, unless there are more keys than that takes: then by some for each table, in the same order.
    mutating func read(_ connection: isolated MySQLConnection) throws {
        let parts = Part.allCases.compactMap { part in
            wanted[part].map { (part: part, keys: $0.sorted(by: Key.precedes)) }
        }
        guard let most = parts.map(\.keys.count).max() else { return }
        if let size = statementSizes.first(where: { $0 >= most }) {
            return try read(parts, size, connection)
        }
        for (part, keys) in parts {
            for some in keys.chunks(of: statementSizes.last!) {
                try read([(part, Array(some))], statementSizes.first { $0 >= some.count }!, connection)
            }
        }
    }

    /// - Parameter size: each list of keys is padded to it.
    private mutating func read(
        _ parts: [(part: Part, keys: [Key])], _ size: Int, _ connection: isolated MySQLConnection
    ) throws {
        var parameters: [MySQLValue] = []
        for (_, keys) in parts {
            for key in keys + repeatElement(keys[keys.count - 1], count: size - keys.count) {
                parameters.append(.integer(key.owner))
                if let user = key.user { parameters.append(.user(user)) }
            }
        }
        let statement = parts.map { "(\(Self.select($0.part, size)) LOCK IN SHARE MODE)" }
        try connection.query(statement.joined(separator: " UNION ALL "), parameters) { row in
            note(row)
            return true
        }
    }

    /// Columns: the part, the owner, the user, a state, and a time.
    private static func select(_ part: Part, _ size: Int) -> String {
        let owners = "IN (\(repeatElement("?", count: size).joined(separator: ", ")))"
        func pairs(_ owner: String, _ user: String) -> String {
            repeatElement("(\(owner) = ? AND \(user) = ?)", count: size).joined(separator: " OR ")
        }
        let columns = "SELECT \(part.rawValue)"
        return switch part {
        case .applications:
            "\(columns), id, NULL, 0, tokens_valid_after FROM applications FORCE INDEX (PRIMARY) WHERE id \(owners)"
        case .users:
            """
            \(columns), application_id, id, blocked_at IS NOT NULL, valid_after FROM users FORCE INDEX (PRIMARY)
            WHERE \(pairs("application_id", "id"))
            """
        case .chats: "\(columns), id, NULL, access, NULL FROM chats FORCE INDEX (PRIMARY) WHERE id \(owners)"
        case .members:
            """
            \(columns), chat_id, user_id, 2 * role + (removed_at IS NOT NULL), NULL
            FROM chat_members FORCE INDEX (PRIMARY) WHERE \(pairs("chat_id", "user_id"))
            """
        }
    }

    private mutating func note(_ row: borrowing MySQLRow) {
        let (owner, state) = (row.integer(1), row.integer(3))
        let time = row.isNull(4) ? nil : Timestamp(microseconds: row.timestamp(4))
        let user = row.isNull(2) ? nil : User.ID(stored: row.text(2))
        switch Part(rawValue: row.integer(0)) {
        case .applications: applications[owner] = .some(time)
        case .users: users[Key(owner: owner, user: user)] = UserStanding(isBlocked: state != 0, validAfter: time)
        case .chats: chats[owner] = Chat.Access(rawValue: state) ?? .members
        case .members:
            let role = Member.Role(rawValue: state / 2) ?? .banned
            members[Key(owner: owner, user: user)] = (role, state % 2 == 1)
        case nil: break
        }
    }
}

extension NumberedBatch.Plan {
    /// Without some entries, whose numbers become void.
    func leavingOut(_ entries: some Collection<Int>) -> NumberedBatch.Plan {
        guard !entries.isEmpty else { return self }
        let out = Set(entries)
        return NumberedBatch.Plan(
            rows: rows.filter { !out.contains($0.entry) },
            voids: (voids + rows.filter { out.contains($0.entry) }.map(\.place)).sorted())
    }
}
