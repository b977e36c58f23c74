/// Something that passes: told to who is there, stored nowhere, without a cursor. It may be lost, with Redis or without.
package enum Signal: Hashable, Sendable {
    /// A user writes. It holds for `typingLasts`, or until the user's message.
    case typing(User.ID)
    /// A user has read on. The number only rises for whoever keeps the highest, so repeats and disorder harm nothing.
    case read(ReadReceipt)
    /// How far all members have read, to one reader that begins.
    case reads([ReadReceipt])
    /// Whether a user is online, to one reader that watches it.
    case presence(UserPresence)

    package static let typingLasts = Duration.seconds(6)
    /// A user's typing in a chat is told at most once in this time.
    package static let typingPause = Duration.seconds(3)

    /// The type of its event, as clients see it.
    package var type: String {
        switch self {
        case .typing: "typing"
        case .read: "read"
        case .reads: "reads"
        case .presence: "presence"
        }
    }

    /// Its encoded bytes, estimated.
    var weight: Int { if case .reads(let receipts) = self { 256 * (receipts.count + 1) } else { 256 } }

    /// Whether the later one of both says all.
    func isAboutSame(as other: Signal) -> Bool {
        switch (self, other) {
        case (.typing(let user), .typing(let other)): user == other
        case (.read(let receipt), .read(let other)): receipt.user == other.user
        case (.typing, _), (.read, _), (.reads, _), (.presence, _): false
        }
    }
}

/// How far a user has read, as the others see it: what was read once stays so for them.
package struct ReadReceipt: Hashable, Sendable, JSONWritable {
    package let user: User.ID
    /// 0 for one that never said.
    package let number: Int64

    package init(user: User.ID, number: Int64) {
        self.user = user
        self.number = number
    }

    package func write(to json: inout JSONWriter) { json.object(writeMembers) }

    /// Writes its members into an object that has others.
    func writeMembers(to json: inout JSONWriter) {
        json.member("user", user.text)
        json.member("number", number)
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
        case .read(let receipt): receipt.writeMembers(to: &json)
        case .reads(let receipts): json.member("reads", receipts)
        case .presence(let presence): presence.writeMembers(to: &json)
        }
    }
}
