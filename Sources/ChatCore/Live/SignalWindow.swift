import DequeModule

/// The newest signals of one chat, and how far each of its readers has them. A reader that does not keep up misses some.
struct SignalWindow {
    typealias ReaderID = LiveWindow.ReaderID

    private struct Reader {
        var place: UInt64
        let hasTyping: Bool
        let hasReads: Bool
    }

    /// Signals that are kept for readers that are a little behind: the last one of each member of a chat that shows how far
    /// they have read, and of some who write.
    private static let bound = ChatScope.mostReceipts + 64
    /// Users whose last signal is known; past it the oldest are forgotten.
    private static let knownUsers = 1024

    /// How many there were.
    private(set) var head: UInt64 = 0
    private var signals = Deque<(place: UInt64, signal: Signal)>()
    private var lastTyping: UInt64 = 0
    private var lastRead: UInt64 = 0
    private var readers: [ReaderID: Reader] = [:]
    private var typed: [User.ID: Duration] = [:]
    private var read: [User.ID: Int64] = [:]

    var count: Int { signals.count }

    /// Takes a signal, unless it repeats what was told a moment ago, or nobody is there.
    mutating func receive(_ signal: Signal, now: Duration) {
        guard !readers.isEmpty else { return }
        if case .typing(let user) = signal {
            if let last = typed[user], now - last < Signal.typingPause { return }
            if typed.count >= Self.knownUsers { typed = typed.filter { now - $0.value < Signal.typingPause } }
            guard typed.count < Self.knownUsers else { return }
            typed[user] = now
        }
        // The bus repeats to a process what it has told itself.
        if case .read(let receipt) = signal {
            guard read[receipt.user] != receipt.number else { return }
            if read.count >= Self.knownUsers { read = [:] }
            read[receipt.user] = receipt.number
        }
        signals.removeAll { $0.signal.isAboutSame(as: signal) }
        head += 1
        if case .typing = signal { lastTyping = head } else { lastRead = head }
        signals.append((head, signal))
        if signals.count > Self.bound { signals.removeFirst() }
    }

    /// A message ends its sender's typing.
    mutating func end(typingOf user: User.ID) {
        if readers.isEmpty { return }
        typed[user] = nil
        signals.removeAll { $0.signal == .typing(user) }
    }

    /// - Parameters:
    ///   - hasTyping: whether it is told who writes.
    ///   - hasReads: whether it is told how far others have read.
    mutating func join(_ id: ReaderID, hasTyping: Bool, hasReads: Bool) {
        readers[id] = Reader(place: head, hasTyping: hasTyping, hasReads: hasReads)
    }

    mutating func leave(_ id: ReaderID) {
        readers[id] = nil
        if readers.isEmpty { (signals, typed, read) = ([], [:], [:]) }
    }

    mutating func leaveAll() { (readers, signals, typed, read) = ([:], [], [:], [:]) }

    func hasNews(for id: ReaderID) -> Bool {
        guard let reader = readers[id], !signals.isEmpty else { return false }
        return (reader.hasTyping && reader.place < lastTyping) || (reader.hasReads && reader.place < lastRead)
    }

    /// The signals that a reader has not taken.
    mutating func take(_ id: ReaderID) -> [Signal] {
        guard let reader = readers[id], reader.place < head else { return [] }
        readers[id]?.place = head
        return signals.reversed().prefix { $0.place > reader.place }.reversed().map(\.signal).filter { signal in
            if case .typing = signal { reader.hasTyping } else { reader.hasReads }
        }
    }
}
