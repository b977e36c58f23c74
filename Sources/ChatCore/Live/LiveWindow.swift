import DequeModule

/// The newest messages of one chat, and how far each of its readers has come.
///
/// Readers share the messages: a reader is a position, and what is kept is what the slowest live one has yet to take, up to
/// a bound. One that falls out of it is a slow consumer. One that starts below it reads from the store until it has come
/// up to it. As everything goes by numbers, neither can miss or repeat one at the seam.
struct LiveWindow {
    typealias ReaderID = UInt64

    enum Taken {
        case messages([Message])
        /// There is nothing new.
        case nothing
        /// The reader must read from the store what comes after its position, up to `goal` at least; `move` must follow.
        case behind(Int64, goal: Int64)
        case tooSlow
        /// There is no such reader.
        case gone
    }

    private struct Reader {
        /// The last number it was given, or need not be given.
        var position: Int64
        /// Whether it lives on what is kept here.
        var isLive: Bool
        /// While it reads from the store: where the head was when it began. Kept from there on, so that it can join.
        var goal: Int64?

        /// Messages up to there are of no more use to it.
        var used: Int64 { isLive ? position : goal ?? .max }
    }

    private let limits: StreamLimits
    private var readers: [ReaderID: Reader] = [:]
    /// Those above `floor`, up to `head`.
    private var messages = Deque<Message>()
    private(set) var bytes = 0
    private(set) var floor: Int64
    private(set) var head: Int64
    /// When to look next what is of no more use.
    private var trimAt: StreamLimits.Size

    init(head: Int64, limits: StreamLimits) {
        self.head = head
        self.floor = head
        self.limits = limits
        self.trimAt = limits.smallWindow
    }

    var count: Int { messages.count }
    var readerCount: Int { readers.count }

    /// Takes in what comes next, and moves the head.
    ///
    /// - Parameters:
    ///   - isBurst: whether it had to wait and comes at once, which no reader can be expected to keep up with: one that
    ///     cannot is not too slow, but reads from the store.
    ///   - isTight: whether to keep no more than the small window, as others need the memory: who falls out of that is
    ///     not too slow either.
    mutating func append(_ new: [Message], head: Int64, isBurst: Bool = false, isTight: Bool = false) {
        let headBefore = self.head
        assert(head >= headBefore, "The head never falls")
        assert(new.allSatisfy { $0.number.rawValue > headBefore && $0.number.rawValue <= head })
        defer { assert(isSound) }
        self.head = head
        messages.append(contentsOf: new)
        for message in new { bytes += message.weight }
        if messages.count > trimAt.messages || bytes > trimAt.bytes { trim() }
        let bound = isTight ? limits.smallWindow : limits.window
        while messages.count > bound.messages || bytes > bound.bytes { dropFirst() }
        guard floor > headBefore || isBurst || isTight else { return }
        // Nor who had everything: what has come at once is more than is kept.
        for (id, reader) in readers where reader.position < floor {
            if isBurst || isTight || reader.position >= headBefore { readers[id]?.isLive = false }
        }
    }

    /// - Parameter cursor: nil for the head.
    /// - Returns: where the reader starts.
    mutating func join(_ id: ReaderID, after cursor: Int64?) -> Int64 {
        let position = cursor ?? head
        readers[id] = Reader(position: position, isLive: position >= floor)
        return position
    }

    /// - Returns: whether it was there.
    @discardableResult
    mutating func leave(_ id: ReaderID) -> Bool {
        guard readers.removeValue(forKey: id) != nil else { return false }
        trimIfFew()
        return true
    }

    /// - Returns: who was there.
    mutating func leaveAll() -> [ReaderID] {
        defer { readers = [:] }
        return Array(readers.keys)
    }

    /// Whether there is something for a reader to do other than wait.
    func hasNews(for id: ReaderID) -> Bool {
        guard let position = readers[id]?.position else { return true }
        return position < head
    }

    /// The next messages of a reader, if any.
    ///
    /// - Parameter isTight: whether it must read from the store what there is, as its tenant's readers have enough.
    mutating func take(_ id: ReaderID, isTight: Bool = false) -> Taken {
        guard var reader = readers[id] else { return .gone }
        if isTight, reader.position >= floor, reader.position < head {
            readers[id]?.isLive = false
            readers[id]?.goal = head
            return .behind(reader.position, goal: head)
        }
        guard reader.position >= floor else {
            if reader.isLive { return .tooSlow }
            readers[id]?.goal = head
            return .behind(reader.position, goal: head)
        }
        let page = nextPage(after: reader.position)
        reader.isLive = true
        // With no message up to the head, what lies between is void.
        reader.position = page.last?.number.rawValue ?? max(reader.position, head)
        readers[id] = reader
        trimIfFew()
        return page.isEmpty ? .nothing : .messages(page)
    }

    /// A reader has read from the store up to there. It lives on the window from now on if it has come up to it.
    mutating func move(_ id: ReaderID, to position: Int64) {
        assert(position >= readers[id]?.position ?? position, "A reader never goes back")
        readers[id]?.position = position
        readers[id]?.goal = nil
        if position >= floor { readers[id]?.isLive = true }
    }

    private var isSound: Bool {
        floor <= head && bytes >= 0 && messages.isEmpty == (bytes == 0)
            && messages.first.map { $0.number.rawValue > floor } ?? true
    }

    private func nextPage(after position: Int64) -> [Message] {
        var (start, end) = (0, messages.count)
        while start < end {
            let middle = (start + end) / 2
            if messages[middle].number.rawValue <= position { start = middle + 1 } else { end = middle }
        }
        var bytes = 0
        var page: [Message] = []
        for message in messages[start...].prefix(limits.page.messages) {
            bytes += message.weight
            if bytes > limits.page.bytes, !page.isEmpty { break }
            page.append(message)
        }
        return page
    }

    /// Drops what no reader has use for. It looks at all of them: where they are many it waits until there is as much again.
    private mutating func trim() {
        let used = readers.values.lazy.map(\.used).min() ?? .max
        while let first = messages.first, first.number.rawValue <= used { dropFirst() }
        trimAt.messages = max(limits.smallWindow.messages, 2 * messages.count)
        trimAt.bytes = max(limits.smallWindow.bytes, 2 * bytes)
    }

    private mutating func trimIfFew() { if readers.count <= 8, !messages.isEmpty { trim() } }

    private mutating func dropFirst() {
        let first = messages.removeFirst()
        bytes -= first.weight
        floor = first.number.rawValue
        assert(isSound)
    }
}
