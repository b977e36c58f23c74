/// A user's chats, the one with the newest message first.
package struct Inbox: Sendable {
    /// The most chats that are put in order: those with the highest numbers.
    package static let most = 1000
    package static let limits = 1...100
    package static let defaultLimit = 50

    /// Where a page ends.
    package struct Place: Equatable, Sendable {
        let activeAt: Timestamp
        let number: Chat.Number

        /// - Returns: nil for what no page has said.
        package init?(_ text: String) {
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let time = Int64(digits: parts[0]), let number = Chat.Number(digits: parts[1])
            else {
                return nil
            }
            self.init(activeAt: Timestamp(microseconds: time), number: number)
        }

        init(activeAt: Timestamp, number: Chat.Number) {
            self.activeAt = activeAt
            self.number = number
        }

        package var text: String { "\(activeAt.microseconds)-\(number.rawValue)" }

        func precedes(_ other: Place) -> Bool {
            activeAt != other.activeAt ? activeAt > other.activeAt : number > other.number
        }
    }

    package struct Item: Sendable {
        package let chat: MemberChat
        package let state: ReadState
        /// The newest message of the main line that is there for the user and was not deleted.
        package let newest: Message?
        let place: Place
    }

    package let items: [Item]
    /// Where the next page begins; nil if there is none.
    package let next: Place?
}

extension InboxEntry {
    fileprivate var place: Inbox.Place { Inbox.Place(activeAt: activeAt, number: number) }
}

extension TenantScope {
    /// Numbers below the head that are looked at for the newest message, before all that a tail may have.
    private static let shortLook: Int64 = 32
    /// Messages that are read at once: at most 1.2 MB.
    private static let messagesAtOnce = 16

    /// - Parameter user: whose; nil for the user itself.
    /// - Throws: `ChatError.notAllowed`, also for a user who asks for another's.
    package func inbox(of user: User.ID?, after place: Inbox.Place?, limit: Int) async throws -> Inbox {
        let user = try owner(user)
        return try await read { scope in
            let all = try await service.backend.reads.inbox(of: user, in: scope.id, limit: Inbox.most)
                .filter { access.includes($0.number) }
                .sorted { $0.place.precedes($1.place) }
            let rest = place.map { place in all.filter { place.precedes($0.place) } } ?? all
            let entries = Array(rest.prefix(limit))
            return Inbox(
                items: try await scope.items(entries, of: user),
                next: rest.count > limit ? entries.last?.place : nil)
        }
    }

    /// The user whose chats a request lists.
    ///
    /// - Throws: `ChatError.notAllowed`.
    func owner(_ named: User.ID?) throws(ChatError) -> User.ID {
        guard let own = access.user else {
            guard let named else { throw .notAllowed }
            return named
        }
        guard named == nil || named == own else { throw .notAllowed }
        return own
    }

    private func items(_ entries: [InboxEntry], of user: User.ID) async throws -> [Inbox.Item] {
        let ids = entries.map(\.chat)
        let reads = service.backend.reads
        let chats = try await reads.chats(ids)
        let read = try await reads.readNumbers(of: user, in: ids)
        let heads = try await reads.chatHeads(of: ids)
        var tails: [Chat.ID: ChatTail] = [:]
        var newest: [Chat.ID: Message.Number] = [:]
        for entry in entries {
            let head = heads[entry.chat] ?? .empty
            let start = max(read[entry.chat] ?? 0, entry.numbers.first - 1)
            var tail = try await service.tails.tail(
                of: entry.chat, at: head, after: min(start, head.number - Self.shortLook))
            var number = tail.newest(in: entry.numbers)
            if number == nil, tail.low > max(0, tail.high - ChatTail.window) {
                tail = try await service.tails.tail(of: entry.chat, at: head, after: 0)
                number = tail.newest(in: entry.numbers)
            }
            tails[entry.chat] = tail
            newest[entry.chat] = number.map { Message.Number($0) }
        }
        var messages: [Chat.ID: Message] = [:]
        for some in Array(newest).chunks(of: Self.messagesAtOnce) {
            let found = try await reads.messages(Dictionary(uniqueKeysWithValues: some.map { ($0.key, $0.value) }))
            messages.merge(found.mapValues(\.preview)) { $1 }
        }
        return entries.compactMap { entry in
            guard let chat = chats[entry.chat], let tail = tails[entry.chat] else { return nil }
            let number = read[entry.chat] ?? 0
            return Inbox.Item(
                chat: MemberChat(chat: chat, role: entry.role, joinedAt: entry.joinedAt),
                state: ReadState(
                    number: number, unread: tail.unread(of: user, after: number, in: entry.numbers),
                    asOf: Cursor(
                        min(tail.high, entry.numbers.last), revision: tail.revision,
                        epoch: service.backend.cursorEpoch)),
                newest: messages[entry.chat].flatMap { $0.deletion == nil ? $0 : nil }, place: entry.place)
        }
    }
}

extension Message {
    /// Bytes of a body that a list of chats shows.
    package static let previewBytes = 512

    /// The message with the beginning of its body, as far as whole characters fit.
    fileprivate var preview: Message {
        guard body.utf8.count > Self.previewBytes else { return self }
        var new = self
        var text = Substring.UnicodeScalarView(body.unicodeScalars)
        var bytes = 0
        text = text.prefix { scalar in
            bytes += UTF8.width(scalar)
            return bytes <= Self.previewBytes
        }
        new.content.body = String(text)
        new.isPreview = true
        return new
    }
}
