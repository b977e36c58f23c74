/// About 32 kB of consecutive messages of one chat, folded (docs/decisions/0027-search-blocks.md).
///
/// A block covers every number of its span: a number that is not in it has no message. It is a candidate's place only:
/// each hit's row is read and matched again, so a block may hold what has no row any more, but must never lack what has.
package struct SearchBlock: Equatable, Sendable {
    /// What is stored with each block: blocks of another fold, or laid out otherwise, do not exist for a search.
    package static let version = Int64(SearchFold.version * 100 + 1)
    /// The bytes from which on a block is full.
    package static let size = 32 << 10
    /// A message that folds to more is in no block, and searched in its row: 64 kB of the few characters that stand for
    /// whole words fold to eleven times that. Any block then fits into the smallest `max_allowed_packet` that servers
    /// are run with, 128 kB.
    package static let longestMessage = 80 << 10

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
    /// The time of each message, in microseconds after the one before, the first one's after 1970: in LEB128, zigzag
    /// (Protocol Buffers, "Signed Integers"), because servers' clocks differ. So a search across chats knows which
    /// matches are the newest without reading their rows.
    package let times: [UInt8]
    /// The folded bodies, each followed by NUL, which occurs neither in a body nor in a search text.
    package let folded: [UInt8]

    package init(
        chat: Chat.ID, span: ClosedRange<Int64>, count: Int, oldestAt: Timestamp, newestAt: Timestamp, numbers: [UInt8],
        times: [UInt8], folded: [UInt8]
    ) {
        self.chat = chat
        self.span = span
        self.count = count
        self.oldestAt = oldestAt
        self.newestAt = newestAt
        self.numbers = numbers
        self.times = times
        self.folded = folded
    }
}

/// Collects a block, entry by entry.
struct SearchBlockBuilder {
    private let chat: Chat.ID
    let first: Int64
    private(set) var last: Int64
    private(set) var count = 0
    /// The number of the last message; below the span before the first.
    private var lastMessage: Int64
    private var oldestAt = Timestamp(microseconds: .max)
    private(set) var newestAt = Timestamp(microseconds: 0)
    /// The time of the last message, in microseconds.
    private var lastTime: Int64 = 0
    private var numbers: [UInt8] = []
    private var times: [UInt8] = []
    private var folded: [UInt8] = []

    /// - Parameter number: the block's span begins right after it.
    init(_ chat: Chat.ID, after number: Int64) {
        self.chat = chat
        self.first = number + 1
        self.last = number
        self.lastMessage = number
        folded.reserveCapacity(SearchBlock.size + SearchBlock.size / 4)
    }

    var bytes: Int { folded.count + numbers.count + times.count }
    var isFull: Bool { bytes >= SearchBlock.size }

    /// - Parameter entry: the next one of the chat's log.
    /// - Returns: false if its message is too long for a block; then nothing has changed.
    mutating func append(_ entry: LogEntry) -> Bool {
        assert(entry.number.rawValue > last)
        guard let message = entry.message else {
            last = entry.last.rawValue
            return true
        }
        let start = folded.count
        var body = message.body
        body.withUTF8 { SearchFold.append(UnsafeRawBufferPointer($0), to: &folded) }
        folded.append(0)
        guard folded.count - start <= SearchBlock.longestMessage else {
            folded.removeLast(folded.count - start)
            return false
        }
        last = entry.last.rawValue
        numbers.appendLEB128(UInt64(message.number.rawValue - lastMessage))
        lastMessage = message.number.rawValue
        count += 1
        oldestAt = min(oldestAt, message.createdAt)
        newestAt = max(newestAt, message.createdAt)
        times.appendLEB128(zigzag: message.createdAt.microseconds &- lastTime)
        lastTime = message.createdAt.microseconds
        return true
    }

    /// The block of all entries; nil if there were none.
    func block() -> SearchBlock? {
        guard last >= first else { return nil }
        let isDense = Int64(count) == last - first + 1
        return SearchBlock(
            chat: chat, span: first...last, count: count, oldestAt: min(oldestAt, newestAt), newestAt: newestAt,
            numbers: isDense ? [] : numbers, times: times, folded: folded)
    }
}

extension [UInt8] {
    fileprivate mutating func appendLEB128(zigzag value: Int64) {
        appendLEB128(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    fileprivate mutating func appendLEB128(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }
}
