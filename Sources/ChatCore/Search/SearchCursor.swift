import Foundation

/// A place in the hits of a search across a tenant, as clients keep it: opaque text, with the chat's number instead of
/// its id.
package struct SearchCursor: Equatable, Sendable, CustomStringConvertible {
    /// One hit that a search has found before it was stopped.
    package struct Hit: Equatable, Sendable {
        package let createdAt: Timestamp
        package let chat: Chat.Number
        package let number: Message.Number
    }

    /// `TenantSearchProgress`, with the chats' numbers.
    package struct Progress: Equatable, Sendable {
        let chat: Chat.Number?
        let number: Int64
        let hits: [Hit]
        let isFull: Bool
    }

    package let createdAt: Timestamp
    package let chat: Chat.Number
    package let number: Message.Number
    /// Nil for the beginning of a page.
    package var progress: Progress?

    /// The place of a hit.
    package init(_ hit: TenantHit) {
        createdAt = hit.place.createdAt
        chat = hit.chatNumber
        number = hit.place.number
    }

    /// A place in a chat; if that is gone, the place before all messages of that time.
    fileprivate init(at place: SearchPlace, _ chat: Chat.Number?) {
        createdAt = place.createdAt
        self.chat = chat ?? Chat.Number(.max)
        number = place.number
    }

    /// The place before all messages of that time.
    init(at time: Timestamp) {
        createdAt = time
        chat = Chat.Number(.max)
        number = Message.Number(.max)
    }

    /// The place before all messages: the latest time that fits.
    static let start = SearchCursor(at: Timestamp(microseconds: (1 << 55) - 1))
}

/// In base64url (RFC 4648, 5): the version, then seven bytes of the time (enough for 2,000 years) and eight of each number.
/// Another layout gets another version: 2 goes on with the progress, its chat (0 for all) and number in eight bytes each, a
/// byte that is 1 if it is full, and its hits, each in seven, eight and eight bytes.
extension SearchCursor {
    private static let (version, versionOfProgress) = (UInt8(1), UInt8(2))
    private static let length = 24
    private static let lengthOfHit = 23

    /// - Returns: nil if it is not a cursor that this version writes.
    package init?(_ text: String) {
        // The length first: what follows costs as much as the text is long.
        let most = Self.length + 17 + TenantSearchProgress.most * Self.lengthOfHit
        guard text.utf8.count <= (most + 2) / 3 * 4, !text.utf8.contains(where: { "+/=".utf8.contains($0) }) else {
            return nil
        }
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: text.replacing("-", with: "+").replacing("_", with: "/") + padding) else {
            return nil
        }
        var bytes = ArraySlice(data)
        func integer(_ count: Int) -> Int64 {
            defer { bytes = bytes.dropFirst(count) }
            return Int64(bytes.prefix(count).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } & UInt64(Int64.max))
        }
        func place() -> Hit {
            Hit(
                createdAt: Timestamp(microseconds: integer(7)), chat: Chat.Number(integer(8)),
                number: Message.Number(integer(8)))
        }
        guard bytes.count >= Self.length, let version = bytes.popFirst() else { return nil }
        let first = place()
        (createdAt, chat, number) = (first.createdAt, first.chat, first.number)
        switch version {
        case Self.version where bytes.isEmpty: break
        case Self.versionOfProgress where bytes.count >= 17 && (bytes.count - 17) % Self.lengthOfHit == 0:
            let (chat, number, isFull) = (integer(8), integer(8), integer(1) == 1)
            let hits = (0..<bytes.count / Self.lengthOfHit).map { _ in place() }
            progress = Progress(
                chat: chat == 0 ? nil : Chat.Number(chat), number: number, hits: hits, isFull: isFull)
        default: return nil
        }
        // What is written otherwise is none of ours.
        guard description == text else { return nil }
    }

    package var description: String {
        func bytes(_ value: Int64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
        func place(_ createdAt: Timestamp, _ chat: Chat.Number, _ number: Message.Number) -> [UInt8] {
            bytes(createdAt.microseconds).dropFirst() + bytes(chat.rawValue) + bytes(number.rawValue)
        }
        var all = [progress == nil ? Self.version : Self.versionOfProgress] + place(createdAt, chat, number)
        if let progress {
            all += bytes(progress.chat?.rawValue ?? 0) + bytes(progress.number) + [progress.isFull ? 1 : 0]
            for hit in progress.hits { all += place(hit.createdAt, hit.chat, hit.number) }
        }
        return Data(all).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
    }
}

extension TenantHits {
    /// Where the next page begins; nil if there is none. Without any hit, it is where the search was stopped.
    ///
    /// - Parameter cursor: of this page.
    package func next(after cursor: SearchCursor?) -> SearchCursor? {
        if let progress {
            var next = stoppedAt.map { SearchCursor(at: $0) } ?? cursor ?? .start
            next.progress = SearchCursor.Progress(
                chat: progress.chat, number: progress.number,
                hits: progress.hits.compactMap { hit in
                    chatNumbers[hit.chat].map {
                        SearchCursor.Hit(createdAt: hit.createdAt, chat: $0, number: hit.number)
                    }
                }, isFull: progress.isFull)
            return next
        }
        if let stoppedAt { return SearchCursor(at: stoppedAt) }
        if let end { return SearchCursor(at: end, chatNumbers[end.chat]) }
        return hasMore ? hits.last.map { SearchCursor($0) } : nil
    }
}
