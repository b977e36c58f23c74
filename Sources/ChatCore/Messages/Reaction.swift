/// What a user says to a message in one sign.
package struct Reaction: Hashable, Sendable {
    /// 1 to 64 bytes of UTF-8, without control characters. Compared byte for byte but for U+FE0F, which only chooses
    /// between two pictures of the same character.
    package struct Name: Hashable, Sendable {
        package static let maxLength = 64

        /// As its first user has sent it.
        package let text: String
        /// What is compared, and stored with each user.
        package let key: String

        /// - Returns: nil if the text breaks a rule.
        package init?(_ text: String) {
            self.init(stored: text)
            guard text.utf8.count <= Self.maxLength, !key.isEmpty,
                text.unicodeScalars.allSatisfy(\.isInUserID)
            else { return nil }
        }

        /// A text that was a name before.
        package init(stored text: String) {
            let selector: Unicode.Scalar = "\u{FE0F}"
            self.text = text
            guard text.unicodeScalars.contains(selector) else {
                self.key = text
                return
            }
            var key = String.UnicodeScalarView()
            for scalar in text.unicodeScalars where scalar != selector { key.append(scalar) }
            self.key = String(key)
        }

        package static func == (left: Name, right: Name) -> Bool { left.key.utf8.elementsEqual(right.key.utf8) }

        package func hash(into hasher: inout Hasher) {
            var key = key
            key.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    package let name: Name
    package let user: User.ID
    /// Whether the user takes it back.
    package let isTakenBack: Bool

    package init(_ name: Name, by user: User.ID, isTakenBack: Bool = false) {
        self.name = name
        self.user = user
        self.isTakenBack = isTakenBack
    }
}

/// A user in the list of those who have reacted with one name.
package struct ReactingUser: Equatable, Sendable {
    package let user: User.ID
    /// Of the reaction; the list is in its order.
    package let revision: Int64

    package init(user: User.ID, revision: Int64) {
        self.user = user
        self.revision = revision
    }
}

/// The reactions to a message by their names, in the order of first use: what answers and events say of them, and what
/// the message's row has as text. The counts are kept, and nothing is counted again.
package struct ReactionSummary: Equatable, Sendable {
    /// The most names of a message, and those of one user.
    package static let (mostNames, mostOfUser) = (50, 20)
    /// The users of each name that it shows.
    package static let shownUsers = 10

    package struct Entry: Equatable, Sendable {
        package let name: Reaction.Name
        package fileprivate(set) var count: Int64
        /// The first ones.
        package fileprivate(set) var users: [User.ID]

        /// Whether the first users are fewer than it could show.
        fileprivate var lacksUsers: Bool { users.count < min(Int64(ReactionSummary.shownUsers), count) }
    }

    package private(set) var entries: [Entry] = []

    /// - Parameter json: nil for none. What is no summary counts as none; `luciq verify` finds it.
    package init(json: String?) {
        guard var json else { return }
        entries = json.withUTF8 { bytes in
            var reader = JSONReader(utf8: bytes)
            var entries: [Entry] = []
            do {
                try reader.array { reader in
                    var (name, count, users) = ("", Int64(0), [User.ID]())
                    try reader.object { member, reader in
                        switch member {
                        case "name": name = try reader.string()
                        case "count": count = Int64(try reader.number()) ?? 0
                        case "users": try reader.array { users.append(User.ID(stored: try $0.string())) }
                        default: try reader.value()
                        }
                    }
                    entries.append(Entry(name: Reaction.Name(stored: name), count: count, users: users))
                }
            } catch {
                return []
            }
            return entries
        }
    }

    /// Nil for none.
    package var json: String? {
        guard !entries.isEmpty else { return nil }
        var json = JSONWriter()
        entries.write(to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    func has(_ name: Reaction.Name) -> Bool { entries.contains { $0.name == name } }

    fileprivate mutating func add(_ name: Reaction.Name, by user: User.ID) {
        guard let index = entries.firstIndex(where: { $0.name == name }) else {
            return entries.append(Entry(name: name, count: 1, users: [user]))
        }
        // Later ones do not stand for earlier ones that are missing.
        if entries[index].users.count < Self.shownUsers, !entries[index].isClipped { entries[index].users.append(user) }
        entries[index].count += 1
    }

    fileprivate mutating func remove(_ name: Reaction.Name, by user: User.ID) {
        guard let index = entries.firstIndex(where: { $0.name == name }) else { return }
        entries[index].count -= 1
        entries[index].users.removeAll { $0 == user }
        if entries[index].count <= 0 { entries.remove(at: index) }
    }

    fileprivate mutating func fill(_ name: Reaction.Name, with users: [User.ID]) {
        guard let index = entries.firstIndex(where: { $0.name == name }) else { return }
        entries[index].users = Array(users.prefix(Self.shownUsers))
    }

    fileprivate var namesWithoutUsers: [Reaction.Name] { entries.filter(\.lacksUsers).map(\.name) }
}

extension ReactionSummary.Entry: JSONWritable {
    /// Whether there are more users than it shows.
    package var isClipped: Bool { count > users.count }

    package func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name.text)
            json.member("count", count)
            json.member("users", users.map(\.text))
            json.member("clipped", isClipped)
        }
    }
}

/// The reactions to one message, while a batch changes them. The store has locked the message, so that nobody else does.
package struct MessageReactions: Sendable {
    /// A row of `message_reactions`.
    package struct Row: Hashable, Sendable {
        package let user: User.ID
        package let name: Reaction.Name
    }

    package private(set) var summary: ReactionSummary
    /// Rows to store, each with the revision of its reaction.
    package private(set) var added: [Row: Int64] = [:]
    /// Rows to delete, before others are stored.
    package private(set) var removed: Set<Row> = []
    /// What each user has, of those that the batch asks for.
    private var names: [User.ID: Set<Reaction.Name>] = [:]

    package init(_ message: Message) { self.summary = ReactionSummary(json: message.reactions) }

    package func knows(_ user: User.ID) -> Bool { names[user] != nil }

    /// - Parameter names: of all reactions of the user to the message.
    package mutating func note(_ names: some Sequence<Reaction.Name>, of user: User.ID) {
        self.names[user, default: []].formUnion(names)
    }

    /// - Returns: whether the reaction changes anything.
    /// - Throws: `ChatError.tooManyReactions`.
    func changes(_ reaction: Reaction) throws(ChatError) -> Bool {
        let own = names[reaction.user] ?? []
        guard own.contains(reaction.name) == reaction.isTakenBack else { return false }
        if reaction.isTakenBack { return true }
        guard own.count < ReactionSummary.mostOfUser,
            summary.has(reaction.name) || summary.entries.count < ReactionSummary.mostNames
        else { throw .tooManyReactions }
        return true
    }

    /// - Parameter reaction: one that changes something.
    package mutating func apply(_ reaction: Reaction, at revision: Int64) {
        let row = Row(user: reaction.user, name: reaction.name)
        if reaction.isTakenBack {
            names[reaction.user]?.remove(reaction.name)
            // One that the same batch has added is in no row yet.
            if added.removeValue(forKey: row) == nil { removed.insert(row) }
            summary.remove(reaction.name, by: reaction.user)
        } else {
            names[reaction.user, default: []].insert(reaction.name)
            added[row] = revision
            summary.add(reaction.name, by: reaction.user)
        }
    }

    /// The names whose first users are to be read again, when the rows are stored: some of them have taken it back.
    package var incomplete: [Reaction.Name] { summary.namesWithoutUsers }

    /// - Parameter users: the first `ReactionSummary.shownUsers` of the name.
    package mutating func fill(_ name: Reaction.Name, with users: [User.ID]) { summary.fill(name, with: users) }
}

extension [MessageChange] {
    /// The revisions that chats have reached by changes of reactions and pins. The bus tells of edits by their messages.
    package func reached(_ results: [Result<ChangedMessage, ChatError>]) -> [Chat.ID: Int64] {
        var revisions: [Chat.ID: Int64] = [:]
        for (change, result) in zip(self, results) where change.reaction != nil || change.pinAction != nil {
            guard case .success(let changed) = result, changed.isChanged else { continue }
            let revision = change.reaction != nil ? changed.message.reactionsRevision : changed.pinRevision
            revisions[change.chat.id] = Swift.max(revisions[change.chat.id] ?? 0, revision)
        }
        return revisions
    }
}
