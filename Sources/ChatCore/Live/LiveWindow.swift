import DequeModule

/// The newest messages of one chat, and the position of each of its readers.
///
/// Readers share the messages: a reader is a position. The window keeps the messages that the slowest live reader has
/// not taken, up to a bound. A reader that falls out of it is a slow consumer. A reader that starts below it reads from
/// the store until it reaches the window. All positions are numbers, so no message is missed or repeated in between.
struct LiveWindow {
    typealias ReaderID = UInt64

    enum Taken {
        case messages([Message])
        /// There is nothing new.
        case nothing
        /// The reader must read from the store, after this position and at least up to `goal`, and then call `move`.
        case behind(Int64, goal: Int64)
        case tooSlow
        /// There is no such reader.
        case gone
    }

    private struct Reader {
        /// It has taken the messages up to this number, or does not need them.
        var position: Int64
        /// Whether it reads from the window.
        var isLive: Bool
        /// While it reads from the store: the head when it began. The window keeps later messages, so that it can join.
        var goal: Int64?

        /// It does not need messages up to this number.
        var used: Int64 { isLive ? position : goal ?? .max }
    }

    private let limits: StreamLimits
    private var readers: [ReaderID: Reader] = [:]
    /// The messages above `floor`, up to `head`.
    private var messages = Deque<Message>()
    private(set) var bytes = 0
    private(set) var floor: Int64
    private(set) var head: Int64
    /// The size at which to trim next.
    private var trimAt: StreamLimits.Size

    init(head: Int64, limits: StreamLimits) {
        self.head = head
        self.floor = head
        self.limits = limits
        self.trimAt = limits.smallWindow
    }

    var count: Int { messages.count }
    var readerCount: Int { readers.count }

    /// Appends the next messages, and moves the head.
    ///
    /// - Parameters:
    ///   - isBurst: whether the messages had to wait and arrive together. A reader that falls out of the window then is
    ///     not a slow consumer, but reads from the store.
    ///   - isTight: whether to keep only the small window, because memory is short. A reader that falls out of it is
    ///     not a slow consumer either.
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
        // An up-to-date reader is not slow either: this one append was larger than the window.
        for (id, reader) in readers where reader.position < floor {
            if isBurst || isTight || reader.position >= headBefore { readers[id]?.isLive = false }
        }
    }

    /// Takes a message that has changed, if an earlier state of it is here.
    mutating func replace(_ message: Message) {
        let index = index(after: message.number.rawValue - 1)
        guard index < messages.count, messages[index].number == message.number,
            messages[index].lastRevision < message.lastRevision
        else { return }
        bytes += message.weight - messages[index].weight
        let root = message.root ?? messages[index].root
        messages[index] = message
        messages[index].root = root
    }

    /// - Parameter cursor: nil for the head.
    /// - Returns: where the reader starts.
    mutating func join(_ id: ReaderID, after cursor: Int64?) -> Int64 {
        let position = cursor ?? head
        readers[id] = Reader(position: position, isLive: position >= floor)
        return position
    }

    /// - Returns: whether the reader existed.
    @discardableResult
    mutating func leave(_ id: ReaderID) -> Bool {
        guard readers.removeValue(forKey: id) != nil else { return false }
        trimIfFew()
        return true
    }

    /// - Returns: the readers.
    mutating func leaveAll() -> [ReaderID] {
        defer { readers = [:] }
        return Array(readers.keys)
    }

    /// Up to which number a reader has taken messages.
    func position(of id: ReaderID) -> Int64? { readers[id]?.position }

    /// Whether a reader has something to take, or has ended.
    func hasNews(for id: ReaderID) -> Bool {
        guard let position = readers[id]?.position else { return true }
        return position < head
    }

    /// The next messages of a reader, if any.
    ///
    /// - Parameter isTight: whether it must read from the store, because its tenant's memory is used up.
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
        // Numbers up to the head without a message are void.
        reader.position = page.last?.number.rawValue ?? max(reader.position, head)
        readers[id] = reader
        trimIfFew()
        return page.isEmpty ? .nothing : .messages(page)
    }

    /// A reader has read from the store up to `position`. If it has reached the window, it reads from there from now
    /// on.
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
        var bytes = 0
        var page: [Message] = []
        for message in messages[index(after: position)...].prefix(limits.page.messages) {
            bytes += message.weight
            if bytes > limits.page.bytes, !page.isEmpty { break }
            page.append(message)
        }
        return page
    }

    /// Where the messages after a position begin.
    private func index(after position: Int64) -> Int {
        var (start, end) = (0, messages.count)
        while start < end {
            let middle = (start + end) / 2
            if messages[middle].number.rawValue <= position { start = middle + 1 } else { end = middle }
        }
        return start
    }

    /// Drops messages that no reader needs. As it visits all readers, it runs again only after the window has doubled.
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
