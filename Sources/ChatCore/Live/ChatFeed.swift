/// One chat's stream in this process: what comes next (`LogOrder`), and who has been given what (`LiveWindow`).
struct ChatFeed {
    private(set) var order: LogOrder
    var window: LiveWindow

    /// - Parameters:
    ///   - head: a number below which nothing is on its way: who gives no cursor starts after it.
    ///   - highest: the highest number that the store has, or that was told of.
    init(head: Int64, highest: Int64, now: Duration, limits: StreamLimits) {
        self.order = LogOrder(after: head, patience: limits.gaps, bounds: limits.ahead)
        self.window = LiveWindow(head: head, limits: limits)
        order.see(highest, now: now)
    }

    /// Messages were told of.
    mutating func receive(_ messages: [Message], now: Duration, isTight: Bool = false) {
        var due: [Message] = []
        for message in messages { due += order.receive(message, now: now) }
        append(due, isBurst: due.count > messages.count, isTight)
    }

    /// The store has that number.
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
