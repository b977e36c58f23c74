/// One chat's stream in this process: the next messages (`LogOrder`), and the position of each reader (`LiveWindow`).
struct ChatFeed {
    private(set) var order: LogOrder
    var window: LiveWindow

    /// - Parameters:
    ///   - head: a number below which no gap may still be filled. Readers without a cursor start after it.
    ///   - highest: the highest number in the store or from the bus.
    init(head: Int64, highest: Int64, now: Duration, limits: StreamLimits) {
        self.order = LogOrder(after: head, patience: limits.gaps, bounds: limits.ahead)
        self.window = LiveWindow(head: head, limits: limits)
        order.see(highest, now: now)
    }

    /// Takes messages from the bus. Those that were changed replace what waits for slow readers.
    mutating func receive(_ messages: [Message], now: Duration, isTight: Bool = false) {
        for message in messages where message.revision > 0 { window.replace(message) }
        var due: [Message] = []
        for message in messages { due += order.receive(message, now: now) }
        append(due, isBurst: due.count > messages.count, isTight)
    }

    /// Takes the store's highest number.
    mutating func see(_ highest: Int64, now: Duration) { order.see(highest, now: now) }

    mutating func startWork(now: Duration) -> LogOrder.Work? { order.startWork(now: now) }

    mutating func finish(_ finding: LogOrder.Finding, now: Duration, clock: Timestamp, isTight: Bool = false) {
        let due = order.finish(finding, now: now, clock: clock)
        append(due, isBurst: true, isTight)
    }

    private mutating func append(_ due: [Message], isBurst: Bool, _ isTight: Bool) {
        assert(zip(due, due.dropFirst()).allSatisfy { $0.number < $1.number }, "Messages come in number order, once")
        window.append(due, head: order.head, isBurst: isBurst, isTight: isTight)
    }
}
