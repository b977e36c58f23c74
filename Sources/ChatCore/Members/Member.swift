/// A user's place in a chat.
package struct Member: Equatable, Sendable {
    /// The raw values are stored.
    package enum Role: Int64, CaseIterable, Sendable {
        /// All that an `admin` may, and to owners too. A chat that users made keeps one.
        case owner
        /// Changes the chat and its members, but no owner.
        case admin
        /// Reads and writes.
        case member
        /// Reads.
        case reader
        /// The chat is not there, not even an open one.
        case banned

        package var name: String { String(describing: self) }

        /// - Returns: nil if there is no such role.
        package init?(name: String) {
            guard let role = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
            self = role
        }

        var administers: Bool { self == .owner || self == .admin }
        var writes: Bool { self != .reader && self != .banned }
    }

    package let user: User.ID
    /// Of one that was removed: `reader` if it was one when it left by itself, which it stays in an open chat.
    package var role: Role
    /// The messages that are there for it, while the chat is not open.
    package var numbers: NumberSpan
    package var joinedAt: Timestamp
    /// Nil: it is a member. A removed one still sees `numbers`.
    package var removedAt: Timestamp?

    package init(
        user: User.ID, role: Role, numbers: NumberSpan, joinedAt: Timestamp, removedAt: Timestamp? = nil
    ) {
        self.user = user
        self.role = role
        self.numbers = numbers
        self.joinedAt = joinedAt
        self.removedAt = removedAt
    }

    package var isActive: Bool { removedAt == nil }
}

/// Numbers from `first` to `last`; none if `last` is smaller.
package struct NumberSpan: Equatable, Sendable {
    package let first: Int64
    package let last: Int64

    package init(first: Int64 = 1, last: Int64 = .max) {
        self.first = first
        self.last = last
    }

    package static let all = NumberSpan()

    package func contains(_ number: Int64) -> Bool { first <= number && number <= last }

    /// How many of the numbers from 1 to `end` it has.
    package func count(upTo end: Int64) -> Int64 { max(0, min(last, end) - max(first, 1) + 1) }
}

/// What a user is in a chat, and what it sees of it.
package struct Standing: Equatable, Sendable {
    /// Nil: it was removed.
    package let role: Member.Role?
    /// The messages that are there for it.
    package let numbers: NumberSpan

    /// - Returns: nil if the chat is not there for the user.
    package init?(access: Chat.Access, member: Member?) {
        self.init(
            access: access, role: member?.role, isRemoved: member?.isActive == false, numbers: member?.numbers ?? .all)
    }

    /// - Parameter role: of the member's row; nil without one.
    private init?(access: Chat.Access, role: Member.Role?, isRemoved: Bool, numbers: NumberSpan = .all) {
        if let role, !isRemoved {
            guard role != .banned else { return nil }
            self.role = role
            // Whoever is no member would see all of an open chat.
            self.numbers = access == .open ? .all : numbers
        } else if access == .open {
            // Nobody sheds a restriction by leaving.
            self.role = role == .reader ? .reader : .member
            self.numbers = .all
        } else {
            guard role != nil else { return nil }
            self.role = nil
            self.numbers = numbers
        }
    }

    /// Why a user may not write in a chat, as of the transaction of a create; nil if it may.
    ///
    /// - Parameter role: of the member's row; nil without one.
    package static func refusalToWrite(access: Chat.Access, role: Member.Role?, isRemoved: Bool) -> ChatError? {
        guard let standing = Standing(access: access, role: role, isRemoved: isRemoved) else { return .notFound }
        return standing.role?.writes == true ? nil : .insufficientRole
    }

    /// - Throws: `ChatError.insufficientRole`.
    package func checkMayWrite() throws(ChatError) { guard role?.writes == true else { throw .insufficientRole } }

    /// - Throws: `ChatError.insufficientRole`.
    func checkAdministers() throws(ChatError) { guard role?.administers == true else { throw .insufficientRole } }
}

/// A chat in the list of those that a user sees.
package struct SeenChat: Sendable {
    package let id: Chat.ID
    /// With the count of the messages that are there for the user.
    package let chat: Chat
    /// Also one that was removed.
    package let member: Member?

    /// - Returns: nil if the chat is not there for the user.
    package init?(id: Chat.ID, chat: Chat, member: Member?) {
        guard Standing(access: chat.settings.access, member: member) != nil else { return nil }
        self.id = id
        self.chat = chat
        self.member = member
    }
}

/// A chat in the list of a user's own.
package struct MemberChat: Equatable, Sendable {
    package let chat: Chat
    package let role: Member.Role
    package let joinedAt: Timestamp

    package init(chat: Chat, role: Member.Role, joinedAt: Timestamp) {
        self.chat = chat
        self.role = role
        self.joinedAt = joinedAt
    }
}
