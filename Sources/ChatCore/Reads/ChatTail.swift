/// The newest numbers of a chat: four bytes each, which say whom they count for.
///
/// What a user has not read is a walk over these, so a list of many chats with many unread messages reads no rows. The value
/// knows as of which number and revision it is true, so whoever compares these with the store's knows what is missing.
struct ChatTail: Sendable {
    /// How far back it reaches. Numbers before are not counted.
    static let window: Int64 = 4096
    /// It is cut when it is longer by this, so that not every new message moves all.
    private static let slack: Int64 = 512
    /// For nobody: void, deleted, or not in the main line.
    private static let never: UInt32 = 0
    /// For everybody: no user has sent it.
    private static let anybody: UInt32 = 1

    /// It has the numbers after `low` up to `high`; none below `high` is still missing.
    private(set) var low: Int64
    var high: Int64 { low + Int64(codes.count) }
    /// All changes up to it are in the codes.
    private(set) var revision: Int64
    private var codes: [UInt32] = []
    private var senders: [User.ID: UInt32] = [:]
    /// Whom the numbers mention that mention somebody and count.
    private var mentions: [Int64: [Mention]] = [:]
    private var mentionsCost = 0

    /// A user, by a hash of 64 bits whose key only this process has: a chat may mention 200,000, and their names would be
    /// many times as large. That a count takes one of them for another has a chance of less than 1 in 10^13.
    private typealias Mention = Int

    init(from number: Int64, revision: Int64) {
        self.low = number
        self.revision = revision
    }

    /// In units of four bytes.
    var cost: Int { 64 + codes.count + 32 * senders.count + mentionsCost }
    /// Senders stay when their messages leave; then it is made anew.
    var isWorn: Bool { senders.count > 2 * Int(Self.window) }
    var cursor: Cursor { Cursor(high, revision: revision) }

    /// Adds the rows after `high`, up to the first number that is missing.
    ///
    /// - Parameter rows: ascending.
    mutating func append(_ rows: [TailRow]) {
        for row in rows {
            guard row.number == high + 1 else { break }
            codes.append(code(of: row))
            mention(row)
        }
        guard Int64(codes.count) > Self.window + Self.slack else { return }
        let excess = Int64(codes.count) - Self.window
        codes.removeFirst(Int(excess))
        low += excess
        for number in mentions.keys where number <= low { forgetMentions(of: number) }
    }

    /// Adds the numbers after `start` up to `low`. Those without a row count for nobody.
    mutating func prepend(_ rows: [TailRow], after start: Int64) {
        assert(start <= low)
        var older = [UInt32](repeating: Self.never, count: Int(low - start))
        for row in rows where row.number > start && row.number <= low {
            older[Int(row.number - start - 1)] = code(of: row)
            mention(row)
        }
        codes = older + codes
        low = start
    }

    /// Takes over what has changed, as it is now.
    mutating func update(_ rows: [TailRow]) {
        for row in rows where row.number > low && row.number <= high {
            codes[Int(row.number - low - 1)] = code(of: row)
            mention(row)
        }
    }

    /// Takes over whom a row mentions, as it is now.
    private mutating func mention(_ row: TailRow) {
        forgetMentions(of: row.number)
        guard row.counts, let users = row.mentions?.users, !users.isEmpty else { return }
        mentions[row.number] = users.map(\.hashValue)
        mentionsCost += Self.cost(ofMentions: users.count)
    }

    private mutating func forgetMentions(of number: Int64) {
        guard let old = mentions.removeValue(forKey: number) else { return }
        mentionsCost -= Self.cost(ofMentions: old.count)
    }

    private static func cost(ofMentions count: Int) -> Int { 16 + 2 * count }

    mutating func advance(toRevision revision: Int64) { self.revision = max(self.revision, revision) }

    /// Whether a change of this number can matter: its deletion, and whom it mentions. What counts for nobody never will.
    func mayChange(_ number: Int64) -> Bool {
        number > low && number <= high && codes[Int(number - low - 1)] != Self.never
    }

    private mutating func code(of row: TailRow) -> UInt32 {
        guard row.counts else { return Self.never }
        guard let sender = row.sender else { return Self.anybody }
        if let known = senders[sender] { return known }
        let code = UInt32(senders.count) + 2
        senders[sender] = code
        return code
    }

    /// What a user has not read.
    ///
    /// - Parameters:
    ///   - read: the number up to which it has.
    ///   - numbers: the messages that are there for it.
    func unread(of user: User.ID, after read: Int64, in numbers: NumberSpan) -> Unread {
        let start = max(read, numbers.first - 1)
        let end = min(high, numbers.last)
        guard start < end else { return .none }
        let from = max(start, low, high - Self.window)
        let own = senders[user] ?? .max
        var count = 0
        if from < end {
            codes.withUnsafeBufferPointer { codes in
                for code in codes[Int(from - low)..<Int(end - low)] where code != Self.never && code != own {
                    count += 1
                }
            }
        }
        let mention = mentions.isEmpty ? 0 : user.hashValue
        let mentioning = mentions.count { number, users in
            number > from && number <= end && codes[Int(number - low - 1)] != own && users.contains(mention)
        }
        return Unread(
            count: min(count, Unread.most), mentions: min(mentioning, Unread.most),
            hasMore: count > Unread.most || from > start)
    }

    /// The newest number of the main line that is there for a user, not deleted; nil if it has none.
    func newest(in numbers: NumberSpan) -> Int64? {
        let end = min(high, numbers.last)
        let start = max(low, numbers.first - 1)
        guard start < end else { return nil }
        for number in stride(from: end, to: start, by: -1) where codes[Int(number - low - 1)] != Self.never {
            return number
        }
        return nil
    }
}
