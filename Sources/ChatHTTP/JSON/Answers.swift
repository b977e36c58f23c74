import ChatCore

// The bodies of the contract. A field is never renamed, dropped or given another type.

struct ApplicationAnswer: Encodable {
    let name: String
    let token: String
}

struct ApplicationDetailsAnswer: Encodable {
    let name: String
    let token: String
    let chats_count: Int64
    let messages_count: Int64
    let created_at: String
}

struct ApplicationCountAnswer: Encodable {
    let application_token: String
    let messages_count: Int64
}

struct ChatCreatedAnswer: Encodable {
    let chat_number: Int64
}

struct ChatAnswer: Encodable {
    let chat_number: Int64
    let messages_count: Int64
    let created_at: String
}

struct ChatItem: Encodable {
    let number: Int64
    let messages_count: Int64
    let created_at: String
}

struct ChatCountAnswer: Encodable {
    let chat_number: Int64
    let messages_count: Int64
}

struct MessageAnswer: Encodable {
    let message_number: Int64
    let body: String
    let created_at: String
}

struct MessageItem: Encodable {
    let number: Int64
    let body: String
    let created_at: String

    init(_ message: Message) {
        self.number = message.number.rawValue
        self.body = message.body
        self.created_at = message.createdAt.rfc3339
    }
}
