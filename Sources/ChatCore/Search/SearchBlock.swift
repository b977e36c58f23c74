/// About 32 kB of consecutive messages of one chat, folded (docs/decisions/0027-search-blocks.md).
///
/// A block covers every number of its span: a number that is not in it has no message. It is a candidate's place only:
/// each hit's row is read and matched again, so a block may hold what has no row any more, but must never lack what has.
package struct SearchBlock: Equatable, Sendable {
    /// The folded bytes from which on a block is full.
    package static let size = 32 << 10

    package let chat: Chat.ID
    /// The numbers that it covers.
    package let span: ClosedRange<Int64>
    /// Its messages.
    package let count: Int
    /// The times of its oldest and its newest message; 0 if it has none.
    package let oldestAt: Timestamp
    package let newestAt: Timestamp
    /// The distance of each message's number from the one before, the first one's from the number before the span, in
    /// LEB128. Empty if every number of the span has a message.
    package let numbers: [UInt8]
    /// The folded bodies, each followed by NUL, which occurs neither in a body nor in a search text.
    package let folded: [UInt8]

    package var isFull: Bool { folded.count >= Self.size }

    package init(
        chat: Chat.ID, span: ClosedRange<Int64>, count: Int, oldestAt: Timestamp, newestAt: Timestamp, numbers: [UInt8],
        folded: [UInt8]
    ) {
        self.chat = chat
        self.span = span
        self.count = count
        self.oldestAt = oldestAt
        self.newestAt = newestAt
        self.numbers = numbers
        self.folded = folded
    }
}

/// Collects a block, entry by entry.
struct SearchBlockBuilder {
    private let chat: Chat.ID
    private let first: Int64
    private(set) var last: Int64
    private(set) var count = 0
    /// The number of the last message; below the span before the first.
    private var lastMessage: Int64
    private var oldestAt = Timestamp(microseconds: .max)
    private var newestAt = Timestamp(microseconds: 0)
    private var numbers: [UInt8] = []
    private var folded: [UInt8] = []

    /// - Parameter number: the block's span begins right after it.
    init(_ chat: Chat.ID, after number: Int64) {
        self.chat = chat
        self.first = number + 1
        self.last = number
        self.lastMessage = number
        folded.reserveCapacity(SearchBlock.size + SearchBlock.size / 4)
    }

    var bytes: Int { folded.count }
    var isFull: Bool { folded.count >= SearchBlock.size }

    /// - Parameter entry: the next one of the chat's log.
    mutating func append(_ entry: LogEntry) {
        assert(entry.number.rawValue > last)
        last = entry.last.rawValue
        guard let message = entry.message else { return }
        numbers.appendLEB128(UInt64(message.number.rawValue - lastMessage))
        lastMessage = message.number.rawValue
        count += 1
        oldestAt = min(oldestAt, message.createdAt)
        newestAt = max(newestAt, message.createdAt)
        var body = message.body
        body.withUTF8 { SearchFold.append(UnsafeRawBufferPointer($0), to: &folded) }
        folded.append(0)
    }

    /// The block of all entries; nil if there were none.
    func block() -> SearchBlock? {
        guard last >= first else { return nil }
        let isDense = Int64(count) == last - first + 1
        return SearchBlock(
            chat: chat, span: first...last, count: count, oldestAt: min(oldestAt, newestAt), newestAt: newestAt,
            numbers: isDense ? [] : numbers,
            folded: folded)
    }
}

extension [UInt8] {
    fileprivate mutating func appendLEB128(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }
}
