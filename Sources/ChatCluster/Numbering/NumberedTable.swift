/// A table whose rows are numbered 1, 2, 3 … within their owner: messages in their chat, chats in their application.
///
/// The unique index over (owner, number) is the fence: whatever Redis says, a number is stored once.
struct NumberedTable: Sendable {
    let name: String
    /// The column that holds the owner's id.
    let owner: String
    let ownerTable: String
    /// The unique index over (owner, number), by the name that Rails gave it.
    let index: String
    let scope: IdempotencyTable.Scope
    /// The Redis key of an owner's last number.
    let numberKey: @Sendable (Int64) -> String

    /// No number above it is given, and rows above it are no part of a log: clients read JSON's numbers as doubles, and
    /// this is the last one before two of them are alike.
    static let lastNumber: Int64 = 1 << 53 - 1

    static let messages = NumberedTable(
        name: "messages", owner: "chat_id", ownerTable: "chats",
        index: "index_messages_on_chat_id_and_number", scope: .chat,
        numberKey: { "chat:\($0):message_number" })

    static let chats = NumberedTable(
        name: "chats", owner: "application_id", ownerTable: "applications",
        index: "index_chats_on_application_id_and_number", scope: .application,
        numberKey: { "luciq:application:\($0):chat_number" })

    /// For FROM, where numbers are walked or compared.
    ///
    /// Left to itself MariaDB looks up the owner alone where an owner has much of the table, and then walks from its
    /// first or last row to the number that was asked for; Rails' other index, over the owner alone, tempts it as well.
    var byNumber: String { "\(name) FORCE INDEX (\(index))" }
}

/// Who wrote a row.
enum BatchID {
    /// A row that holds a number nobody may have any more.
    static let void: Int64 = -1

    /// Unlike any other append's.
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
