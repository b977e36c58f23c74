import ChatCore
import GRDB

/// Whether users may store what they send, as of the transaction that does: what is answered before it counts.
struct AuthorCheck {
    private struct Place: Hashable {
        let tenant: Tenant.ID
        let author: Author
        let chat: Chat.ID?
    }

    private let db: Database
    private var known: [Place: ChatError?] = [:]

    init(_ db: Database) { self.db = db }

    /// One look-up for each user and chat of a batch; none for what is no user's.
    ///
    /// - Parameter chat: of a message; nil for what is none.
    /// - Returns: why it is not stored; nil if it is.
    mutating func refusal(of author: Author, in tenant: Tenant.ID, to chat: Chat.ID?) throws -> ChatError? {
        guard let user = author.user else { return nil }
        let place = Place(tenant: tenant, author: author, chat: chat)
        if let known = known[place] { return known }
        let query = try Query(
            db,
            """
            SELECT users.id IS NOT NULL, users.blocked_at, users.valid_after, applications.tokens_valid_after,
                chats.access, chat_members.role, chat_members.removed_at
            FROM applications
            LEFT JOIN users ON users.application_id = applications.id AND users.id = ?
            LEFT JOIN chats ON chats.id = ?
            LEFT JOIN chat_members ON chat_members.chat_id = chats.id AND chat_members.user_id = ?
            WHERE applications.id = ?
            """, .text(user.text), chat.map { .integer($0.rawValue) } ?? .null, .text(user.text),
            .integer(tenant.rawValue))
        let isThere = try query.next()
        var standing: UserStanding?
        if isThere, query.integer(0) == 1 {
            let ends = [CInt(2), 3].filter { !query.isNull($0) }.map { Timestamp(microseconds: query.integer($0)) }
            standing = UserStanding(isBlocked: !query.isNull(1), validAfter: ends.max())
        }
        var refusal = author.refusal(standing)
        if refusal == nil, chat != nil {
            if isThere, !query.isNull(4) {
                refusal = Standing.refusalToWrite(
                    access: Chat.Access(rawValue: query.integer(4)) ?? .members,
                    role: query.isNull(5) ? nil : Member.Role(rawValue: query.integer(5)) ?? .banned,
                    isRemoved: !query.isNull(6))
            } else {
                refusal = .notFound
            }
        }
        known[place] = .some(refusal)
        return refusal
    }
}
