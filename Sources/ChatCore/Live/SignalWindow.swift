import DequeModule

/// The newest signals of one chat, and how far each of its readers has them. A reader that does not keep up misses some.
struct SignalWindow {
    typealias ReaderID = LiveWindow.ReaderID

    /// Signals that are kept for readers that are a little behind.
    private static let bound = 64
    /// Users whose last signal is known; past it the oldest are forgotten.
    private static let knownUsers = 1024

    /// How many there were.
    private(set) var head: UInt64 = 0
    private var signals = Deque<(place: UInt64, signal: Signal)>()
    private var readers: [ReaderID: UInt64] = [:]
    private var typed: [User.ID: Duration] = [:]

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
        signals.removeAll { $0.signal.isAboutSame(as: signal) }
        head += 1
        signals.append((head, signal))
        if signals.count > Self.bound { signals.removeFirst() }
    }

    /// A message ends its sender's typing.
    mutating func end(typingOf user: User.ID) {
        if readers.isEmpty { return }
        typed[user] = nil
        signals.removeAll { $0.signal == .typing(user) }
    }

    mutating func join(_ id: ReaderID) { readers[id] = head }

    mutating func leave(_ id: ReaderID) {
        readers[id] = nil
        if readers.isEmpty { (signals, typed) = ([], [:]) }
    }

    mutating func leaveAll() { (readers, signals, typed) = ([:], [], [:]) }

    func hasNews(for id: ReaderID) -> Bool {
        guard let place = readers[id], let last = signals.last else { return false }
        return place < last.place
    }

    /// The signals that a reader has not taken.
    mutating func take(_ id: ReaderID) -> [Signal] {
        guard let place = readers[id], place < head else { return [] }
        readers[id] = head
        return signals.filter { $0.place > place }.map(\.signal)
    }
}
