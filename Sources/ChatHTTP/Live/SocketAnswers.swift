import ChatCore

// The messages to a WebSocket's client. Never rename or drop a member, nor change its type.

struct SubscribedAnswer: JSONWritable {
    let chat: Chat.Number
    let cursor: Cursor
    let ref: String?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "subscribed")
            json.member("chat", chat.rawValue)
            json.member("cursor", cursor.description)
            if let ref { json.member("ref", ref) }
        }
    }
}

struct UnsubscribedAnswer: JSONWritable {
    let chat: Chat.Number
    let ref: String?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "unsubscribed")
            json.member("chat", chat.rawValue)
            if let ref { json.member("ref", ref) }
        }
    }
}

struct LiveAnswer: JSONWritable {
    let chat: Chat.Number
    let event: LiveEvents.Event
    let cursor: Cursor

    func write(to json: inout JSONWriter) {
        json.object { json in
            switch event {
            case .message(let message):
                json.member("type", "message")
                writePlace(to: &json)
                json.member("message", MessageJSON(message))
            case .change(let change, let base):
                json.member("type", change.type)
                writePlace(to: &json)
                json.member("change", ChangeEventJSON(change, since: base))
            case .signal(let signal):
                json.member("type", signal.type)
                json.member("chat", chat.rawValue)
                SignalJSON(signal).writeMembers(to: &json)
            }
        }
    }

    private func writePlace(to json: inout JSONWriter) {
        json.member("chat", chat.rawValue)
        json.member("cursor", cursor.description)
    }
}

struct SentAnswer: JSONWritable {
    let ref: String?
    let chat: Chat.Number
    let message: AppendedMessage

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "sent")
            json.member("ref", ref)
            json.member("chat", chat.rawValue)
            json.member("message_number", message.number.rawValue)
            if message.isReplay { json.member("replayed", true) }
        }
    }
}

extension SocketRefusal: JSONWritable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "error")
            json.member("ref", ref)
            if let chat { json.member("chat", chat.rawValue) }
            json.member("code", problem.code)
            json.member("detail", problem.detail)
            if let cursor = problem.cursor { json.member("cursor", cursor.description) }
            if problem.quota != nil, let seconds = problem.retryAfter { json.member("retry_after", Int64(seconds)) }
        }
    }
}

struct PresenceAnswer: JSONWritable {
    let presence: UserPresence

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "presence")
            presence.writeMembers(to: &json)
        }
    }
}

/// To a frame that shows a token.
struct AuthenticatedAnswer: JSONWritable {
    let user: User.ID
    /// Whole seconds until the token ends.
    let expiresIn: Int64
    var ref: String?

    /// - Returns: nil if the principal is no user.
    init?(_ access: Access, ref: String? = nil) {
        guard let token = access.userToken else { return nil }
        user = token.user
        expiresIn = max(0, access.timeLeft(until: token.expiresAt).components.seconds)
        self.ref = ref
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "authenticated")
            json.member("user", user.text)
            json.member("expires_in", expiresIn)
            if let ref { json.member("ref", ref) }
        }
    }
}

/// A while before the connection's token ends.
struct TokenExpiringAnswer: JSONWritable {
    /// Whole seconds.
    let expiresIn: Int64

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", "token_expiring")
            json.member("expires_in", expiresIn)
        }
    }
}
