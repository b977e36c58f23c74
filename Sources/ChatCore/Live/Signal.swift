/// Something that passes: told to who is there, stored nowhere, without a cursor. It may be lost, with Redis or without.
package enum Signal: Hashable, Sendable {
    /// A user writes. It holds for `typingLasts`, or until the user's message.
    case typing(User.ID)
    /// A user has read up to a number. It only rises, so repeats and disorder harm nothing.
    case read(User.ID, Message.Number)

    package static let typingLasts = Duration.seconds(6)
    /// A user's typing in a chat is told at most once in this time.
    package static let typingPause = Duration.seconds(3)

    /// The type of its event, as clients see it.
    package var type: String {
        switch self {
        case .typing: "typing"
        case .read: "read"
        }
    }

    /// Whether the later one of both says all.
    func isAboutSame(as other: Signal) -> Bool {
        switch (self, other) {
        case (.typing(let user), .typing(let other)), (.read(let user, _), .read(let other, _)): user == other
        case (.typing, .read), (.read, .typing): false
        }
    }
}

/// A signal as JSON in events. Never rename or drop a member, nor change its type.
package struct SignalJSON: JSONWritable {
    private let signal: Signal

    package init(_ signal: Signal) { self.signal = signal }

    package func write(to json: inout JSONWriter) { json.object(writeMembers) }

    /// Writes its members into an object that has others.
    package func writeMembers(to json: inout JSONWriter) {
        switch signal {
        case .typing(let user):
            json.member("user", user.text)
            json.member("expires_in", Signal.typingLasts.components.seconds)
        case .read(let user, let number):
            json.member("user", user.text)
            json.member("number", number.rawValue)
        }
    }
}
