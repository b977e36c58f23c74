/// The state of a thing that has changed, as JSON in events. Never rename or drop a member, nor change its type.
package struct ChangeEventJSON: JSONWritable {
    private let event: ChangeEvent
    private let base: Int64

    /// - Parameter base: the reader has all changes up to this revision.
    package init(_ event: ChangeEvent, since base: Int64) {
        self.event = event
        self.base = base
    }

    package func write(to json: inout JSONWriter) {
        switch event.thing {
        case .message(let message): MessageChangeJSON(message, since: base).write(to: &json)
        case .member(let user, let member):
            json.object { json in
                json.member("rev", event.revision)
                json.member("user", user.text)
                // A removed one still has a row.
                let member = member.flatMap { $0.isActive ? $0 : nil }
                json.member("role", member?.role.name)
                if let member { member.writePlace(to: &json) }
            }
        case .chat(let settings):
            json.object { json in
                json.member("rev", event.revision)
                settings.write(to: &json)
            }
        case .pin(let number, let pin):
            json.object { json in
                json.member("rev", event.revision)
                json.member("number", number.rawValue)
                json.member("pinned", pin != nil)
                if let pin { pin.writeOrigin(to: &json) }
            }
        }
    }
}

extension ChangeEvent {
    /// The type of the event, as clients see it.
    package var type: String {
        switch thing {
        case .message: "message.changed"
        case .member: "member.changed"
        case .chat: "chat.changed"
        case .pin: "pin.changed"
        }
    }
}

extension Member {
    /// Writes what it has besides its user and role.
    package func writePlace(to json: inout JSONWriter) {
        json.member("from_number", numbers.first)
        json.member("joined_at", joinedAt)
    }
}

extension Chat.Settings {
    /// Writes its members into a chat.
    package func write(to json: inout JSONWriter) {
        json.member("name", name)
        json.member("metadata", RawJSON(text: metadata ?? "null"))
        json.member("access", access.name)
        json.member("history", history.name)
        json.member("receipts", receipts.name)
    }
}
