/// A table whose rows belong to applications. The list is all that a deletion goes by, and what `luciq verify --deleted`
/// looks through; a test compares it with the databases.
package struct OwnedTable: Equatable, Sendable {
    /// How the owner of a row is found.
    package enum Owner: Sendable {
        /// `application_id`.
        case application
        /// `chat_id`.
        case chat
        /// `scope_id`: a chat or an application, as `scope` says.
        case scope
    }

    package enum Kind: CaseIterable, Sendable { case chat, application }

    package enum Place: Sendable { case both, embedded, cluster }

    package let name: String
    package let owner: Owner
    package let place: Place
    /// Whether an index begins with the owner. Rows of other tables, which are short-lived, are only looked for at the end.
    package let isIndexed: Bool

    private init(_ name: String, _ owner: Owner, in place: Place = .both, isIndexed: Bool = true) {
        self.name = name
        self.owner = owner
        self.place = place
        self.isIndexed = isIndexed
    }

    /// In the order of their deletion. What is made from messages goes before them, so that nothing tells of a message that
    /// is gone; what edits make goes behind them, because without a message none is made. The chats come last, because the
    /// others are found by them.
    package static let all = [
        OwnedTable("search_blocks", .chat),
        OwnedTable("search_heads", .chat),
        OwnedTable("log_cursors", .chat),
        OwnedTable("idempotency_keys", .scope),
        OwnedTable("message_voids", .chat, in: .cluster),
        OwnedTable("void_runs", .scope, in: .cluster),
        OwnedTable("log_changes", .scope, in: .cluster, isIndexed: false),
        OwnedTable("application_keys", .application),
        OwnedTable("jwt_keys", .application),
        OwnedTable("users", .application),
        OwnedTable("chat_members", .application),
        OwnedTable("audit_heads", .application, in: .cluster),
        OwnedTable("application_counts", .application, in: .cluster),
        OwnedTable("access_changes", .application, in: .cluster, isIndexed: false),
        OwnedTable("member_changes", .application, in: .cluster, isIndexed: false),
        OwnedTable("messages", .chat),
        OwnedTable("message_versions", .chat),
        OwnedTable("message_reactions", .chat),
        OwnedTable("pins", .chat),
        OwnedTable("chat_changes", .chat),
        OwnedTable("chat_heads", .chat),
        OwnedTable("chat_reads", .chat),
        OwnedTable("thread_replies", .chat),
        OwnedTable("thread_heads", .chat),
        OwnedTable("chats", .application),
    ]

    package static let embedded = all.filter { $0.place != .cluster }
    package static let cluster = all.filter { $0.place != .embedded }

    package var kinds: [Kind] {
        switch owner {
        case .application: [.application]
        case .chat: [.chat]
        case .scope: Kind.allCases
        }
    }
}
