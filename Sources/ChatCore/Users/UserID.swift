/// A person of an application, as the application knows them. It is there from the first use of a token of theirs, or
/// since somebody stored it.
package struct User: Equatable, Sendable {
    /// The application's own name for a user (`sub` of a token): 1 to 128 bytes of UTF-8. It stands in paths, logs and
    /// pages, so it is not `.`, `..` or `me`, and has no control characters, line separators or controls of text
    /// direction.
    ///
    /// Compared by its bytes, as the stores do. Swift's strings are equal too if they are only canonically equivalent:
    /// that would make one user of two.
    package struct ID: Hashable, Sendable {
        package static let maxLength = 128

        package let text: String

        /// - Returns: nil if the text breaks a rule.
        package init?(_ text: String) {
            guard (1...Self.maxLength).contains(text.utf8.count),
                !["me", ".", ".."].contains(where: { text.utf8.elementsEqual($0.utf8) }),
                text.unicodeScalars.allSatisfy(\.isInUserID)
            else { return nil }
            self.text = text
        }

        /// - Parameter name: of the parameter, as a sentence begins.
        /// - Throws: `ChatError.invalid` if the text breaks a rule.
        package init(_ text: String, named name: String) throws(ChatError) {
            guard let id = ID(text) else {
                throw .invalid([
                    "\(name) must be the id of a user: 1 to 128 bytes without control characters, and not me, . or .."
                ])
            }
            self = id
        }

        /// A text that was an id before.
        package init(stored text: String) { self.text = text }

        package static func == (left: ID, right: ID) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

        package func hash(into hasher: inout Hasher) {
            var text = text
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    package let id: ID
    package var name: String?
    /// A JSON object, as it was sent.
    package var metadata: String?
    package let createdAt: Timestamp
    package var blockedAt: Timestamp?
    /// `UserStanding.validAfter`, of the user alone.
    package var validAfter: Timestamp?

    package init(
        id: ID, name: String? = nil, metadata: String? = nil, createdAt: Timestamp, blockedAt: Timestamp? = nil,
        validAfter: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.metadata = metadata
        self.createdAt = createdAt
        self.blockedAt = blockedAt
        self.validAfter = validAfter
    }

    /// - Parameter validAfter: of all users of the application.
    package func standing(_ validAfter: Timestamp?) -> UserStanding {
        UserStanding(
            isBlocked: blockedAt != nil,
            validAfter: self.validAfter.map { own in validAfter.map { max($0, own) } ?? own } ?? validAfter)
    }
}

extension User {
    /// The most bytes of names and metadata in a page of users; a page has at least one user.
    private static let mostOnAPage = 512 << 10

    /// - Parameter users: up to `limit + 1` of a list; the extra one only shows that more follow.
    package static func page(_ users: [User], limit: Int) -> (users: [User], hasMore: Bool) {
        var bytes = 0
        let page = users.prefix(limit).prefix { user in
            defer { bytes += (user.name?.utf8.count ?? 0) + (user.metadata?.utf8.count ?? 0) }
            return bytes < mostOnAPage
        }
        return (Array(page), users.count > page.count)
    }
}

extension User.ID: CustomStringConvertible {
    package var description: String { text }
}

extension Unicode.Scalar {
    /// Whether it may stand in ids of users, and in names of reactions.
    var isInUserID: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        default: !properties.isBidiControl
        }
    }
}
