import ChatCore

// The API's answers. Never rename or drop a member, nor change its type.

extension Tenant.Name {
    /// What identifies an application in an answer: the name that the request's path has. Who shows a key need not have
    /// the token, which may open more than the key does.
    fileprivate func write(to json: inout JSONWriter) {
        switch self {
        case .token(let token): json.member("token", token.text)
        case .publicID(let id): json.member("id", id.text)
        }
    }
}

/// A created application, with both of its names.
struct NewApplicationAnswer: JSONWritable {
    let name: String
    let tenant: NewTenant

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            json.member("token", tenant.token.text)
            json.member("id", tenant.publicID.text)
        }
    }
}

struct ApplicationAnswer: JSONWritable {
    let name: String
    let id: Tenant.Name
    /// If the request has set it; so are the others.
    let pathToken: Tenant.PathToken?
    let limits: TenantLimits?
    let origins: [String]?
    let receipts: Chat.Receipts?
    let presence: Tenant.Presence?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            id.write(to: &json)
            if let pathToken { json.member("path_token", pathToken.name) }
            if let limits { json.member("limits", limits) }
            if let origins { json.member("origins", origins) }
            if let receipts { json.member("receipts", receipts.name) }
            if let presence { json.member("presence", presence.name) }
        }
    }
}

struct ApplicationDetailsAnswer: JSONWritable {
    let tenant: Tenant
    let id: Tenant.Name
    /// Whether the request shows a key: without one the answer is what it always was.
    let isForKey: Bool

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", tenant.name)
            id.write(to: &json)
            if isForKey {
                if case .token = id { json.member("id", tenant.publicID.text) }
                json.member("path_token", tenant.pathToken.name)
            }
            let rules = tenant.rules
            if isForKey || rules?.limits.isEmpty == false { json.member("limits", rules?.limits ?? TenantLimits()) }
            if isForKey || rules?.origins.isEmpty == false { json.member("origins", rules?.origins ?? []) }
            let receipts = rules?.receipts ?? .off
            if isForKey || receipts != .off { json.member("receipts", receipts.name) }
            let presence = rules?.presence ?? .off
            if isForKey || presence != .off { json.member("presence", presence.name) }
            json.member("chats_count", tenant.chatsCount)
            json.member("messages_count", tenant.messagesCount)
            json.member("created_at", tenant.createdAt)
        }
    }
}

/// One of all applications.
struct ApplicationItem: JSONWritable {
    let tenant: Tenant

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", tenant.publicID.text)
            json.member("name", tenant.name)
            json.member("path_token", tenant.pathToken.name)
            json.member("chats_count", tenant.chatsCount)
            json.member("messages_count", tenant.messagesCount)
            json.member("created_at", tenant.createdAt)
            json.member("suspended_at", tenant.suspendedAt?.rfc3339)
            json.member("deletes_at", tenant.deletesAt?.rfc3339)
        }
    }
}

struct ApplicationCountAnswer: JSONWritable {
    let id: Tenant.Name
    let count: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            switch id {
            case .token(let token): json.member("application_token", token.text)
            case .publicID(let id): json.member("application_id", id.text)
            }
            json.member("messages_count", count)
        }
    }
}

/// A key that was made: the only answer that has all of it.
struct NewKeyAnswer: JSONWritable {
    let shown: AccessKey
    let stored: ApplicationKey

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", stored.id.text)
            json.member("key", shown.text)
            json.member("name", stored.name)
            json.member("scopes", stored.scopes.names)
            json.member("created_at", stored.createdAt)
            json.member("expires_at", stored.expiresAt?.rfc3339)
        }
    }
}

struct KeyAnswer: JSONWritable {
    let key: ApplicationKey

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", key.id.text)
            json.member("name", key.name)
            json.member("scopes", key.scopes.names)
            json.member("created_at", key.createdAt)
            json.member("expires_at", key.expiresAt?.rfc3339)
            json.member("last_used_at", key.lastUsedAt?.rfc3339)
            json.member("revoked_at", key.revokedAt?.rfc3339)
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
            chat.settings.write(to: &json)
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
            chat.settings.write(to: &json)
        }
    }
}

/// One of a user's own chats.
struct OwnChatItem: JSONWritable {
    let chat: MemberChat

    func write(to json: inout JSONWriter) { json.object(writeMembers) }

    fileprivate func writeMembers(to json: inout JSONWriter) {
        json.member("number", chat.chat.number.rawValue)
        json.member("created_at", chat.chat.createdAt)
        chat.chat.settings.write(to: &json)
        json.member("role", chat.role.name)
        json.member("joined_at", chat.joinedAt)
    }
}

/// One of a user's chats, with what it has not read.
struct InboxItem: JSONWritable {
    let item: Inbox.Item

    func write(to json: inout JSONWriter) {
        json.object { json in
            OwnChatItem(chat: item.chat).writeMembers(to: &json)
            json.member("read", item.state.number)
            item.state.writeUnread(to: &json)
            if let newest = item.newest {
                json.member("last_message", Preview(message: newest))
            } else {
                json.member("last_message", String?.none)
            }
        }
    }

    private struct Preview: JSONWritable {
        let message: Message

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("number", message.number.rawValue)
                json.member("body", message.body)
                if message.isPreview { json.member("clipped", true) }
                json.member("created_at", message.createdAt)
                json.member("sender", message.content.sender?.text)
            }
        }
    }
}

struct ReadAnswer: JSONWritable {
    let state: ReadState

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", state.number)
            state.writeUnread(to: &json)
        }
    }
}

extension ReadState {
    fileprivate func writeUnread(to json: inout JSONWriter) {
        json.member("unread", Int64(unread.count))
        json.member("mentions", Int64(unread.mentions))
        json.member("more", unread.hasMore)
        json.member("as_of", asOf.description)
    }
}

struct MemberAnswer: JSONWritable {
    let member: Member

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("user", member.user.text)
            json.member("role", member.role.name)
            member.writePlace(to: &json)
        }
    }
}

struct RemovedMemberAnswer: JSONWritable {
    let user: User.ID

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("user", user.text)
            json.member("role", String?.none)
        }
    }
}

struct ChatCountAnswer: JSONWritable {
    let number: Chat.Number
    let count: Int64
    /// Of these messages, how many were deleted.
    let deleted: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("chat_number", number.rawValue)
            json.member("messages_count", count)
            if deleted > 0 { json.member("deleted_count", deleted) }
        }
    }
}

struct MessagesAnswer: JSONWritable {
    let messages: [Message]

    /// In bytes, if nothing is escaped; about.
    var size: Int { messages.reduce(2) { $0 + $1.body.utf8.count + ($1.content.metadata?.utf8.count ?? 0) + 96 } }

    func write(to json: inout JSONWriter) {
        json.array { json in
            for message in messages { json.element(MessageJSON(message)) }
        }
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
