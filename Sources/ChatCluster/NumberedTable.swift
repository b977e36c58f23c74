/// A table whose rows are numbered 1, 2, 3 … within their owner: messages in their chat, chats in their application.
///
/// The unique index over (owner, number) is the fence: whatever Redis says, a number is stored once.
struct NumberedTable: Sendable {
    let name: String
    /// The column that holds the owner's id.
    let owner: String
    let ownerTable: String
    let scope: IdempotencyTable.Scope
    /// The Redis key of an owner's last number.
    let numberKey: @Sendable (Int64) -> String

    static let messages = NumberedTable(
        name: "messages", owner: "chat_id", ownerTable: "chats", scope: .chat,
        numberKey: { "chat:\($0):message_number" })

    static let chats = NumberedTable(
        name: "chats", owner: "application_id", ownerTable: "applications", scope: .application,
        numberKey: { "luciq:application:\($0):chat_number" })
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
