/// A table whose rows are numbered 1, 2, 3 … within their owner: messages in their chat, chats in their application.
///
/// The unique index over (owner, number) is the fence: whatever Redis says, a number is stored once.
enum NumberedTable: String {
    case messages, chats

    /// The highest number that is given; rows above it do not belong to a log. Clients read JSON's numbers as doubles, and
    /// this is the last one before two integers become the same double.
    static let lastNumber: Int64 = 1 << 53 - 1

    var name: String { rawValue }

    var scope: IdempotencyTable.Scope {
        switch self {
        case .messages: .chat
        case .chats: .application
        }
    }

    var ownerTable: String {
        switch self {
        case .messages: "chats"
        case .chats: "applications"
        }
    }

    /// The column that holds the owner's id.
    var owner: String {
        switch self {
        case .messages: "chat_id"
        case .chats: "application_id"
        }
    }

    /// The Redis key of an owner's last number.
    func numberKey(_ owner: Int64) -> String {
        switch self {
        case .messages: "chat:\(owner):message_number"
        case .chats: "luciq:application:\(owner):chat_number"
        }
    }

    /// The table for FROM, with its index, for statements that walk or compare numbers.
    ///
    /// If an owner has much of the table, MariaDB by itself looks up only the owner, and then scans from its first or
    /// last row to the requested number; Rails' other index, over the owner alone, misleads it as well. This is the
    /// unique index over both, by the name that Rails gave it.
    var byNumber: String { "\(name) FORCE INDEX (index_\(name)_on_\(owner)_and_number)" }
}

/// The batch that wrote a row.
enum BatchID {
    /// A void row: its number is never given again.
    static let void: Int64 = -1

    /// A random id, unlike that of any other append.
    static func random() -> Int64 { Int64.random(in: 1...(.max)) }
}

/// A number of an owner.
struct OwnedNumber: Hashable, Comparable, Sendable {
    let owner: Int64
    let number: Int64

    static func < (left: OwnedNumber, right: OwnedNumber) -> Bool {
        (left.owner, left.number) < (right.owner, right.number)
    }
}
