import ChatCore

// The API's answers. Never rename or drop a member, nor change its type.

struct ApplicationAnswer: JSONWritable {
    let name: String
    let token: Tenant.Token

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            json.member("token", token.text)
        }
    }
}

struct ApplicationDetailsAnswer: JSONWritable {
    let tenant: Tenant

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", tenant.name)
            json.member("token", tenant.token.text)
            json.member("chats_count", tenant.chatsCount)
            json.member("messages_count", tenant.messagesCount)
            json.member("created_at", tenant.createdAt)
        }
    }
}

struct ApplicationCountAnswer: JSONWritable {
    let token: Tenant.Token
    let count: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("application_token", token.text)
            json.member("messages_count", count)
        }
    }
}

struct ChatCreatedAnswer: JSONWritable {
    let number: Chat.Number

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("chat_number", number.rawValue)
        }
    }
}

struct ChatAnswer: JSONWritable {
    let chat: Chat

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("chat_number", chat.number.rawValue)
            json.member("messages_count", chat.messagesCount)
            json.member("created_at", chat.createdAt)
        }
    }
}

struct ChatItem: JSONWritable {
    let chat: Chat

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", chat.number.rawValue)
            json.member("messages_count", chat.messagesCount)
            json.member("created_at", chat.createdAt)
        }
    }
}

struct ChatCountAnswer: JSONWritable {
    let number: Chat.Number
    let count: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("chat_number", number.rawValue)
            json.member("messages_count", count)
        }
    }
}

struct MessagesAnswer: JSONWritable {
    let messages: [Message]

    /// In bytes, if nothing is escaped; about.
    var size: Int { messages.reduce(2) { $0 + $1.body.utf8.count + 96 } }

    func write(to json: inout JSONWriter) {
        json.array { json in for message in messages { json.element(MessageJSON(message)) } }
    }
}

/// A message that a search has found.
struct SearchHitAnswer: JSONWritable {
    /// Of a search in all chats.
    var chatNumber: Chat.Number?
    let message: Message
    let highlights: [Range<Int>]

    func write(to json: inout JSONWriter) {
        json.object { json in
            if let chatNumber { json.member("chat_number", chatNumber.rawValue) }
            MessageJSON(message).writeMembers(to: &json)
            json.member("highlights", highlights.map(Highlight.init))
        }
    }

    private struct Highlight: JSONWritable {
        let range: Range<Int>

        func write(to json: inout JSONWriter) {
            json.array { json in
                json.element(Int64(range.lowerBound))
                json.element(Int64(range.upperBound))
            }
        }
    }
}
