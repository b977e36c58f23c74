import NIOCore

/// The measurements of the readers and the writer. Lives on their event loop.
final class StreamTally {
    /// When each message was due, and when its answer arrived; by its index. 0: not yet.
    private(set) var dueAt: [Int64] = []
    private var answeredAt: [Int64] = []
    /// When each message arrived at each reader.
    private var deliveries: [(index: UInt32, at: Int64)] = []
    private var uncounted = 0
    /// One of so many is an edit; 0: none.
    private var edits = 0
    private(set) var received = 0
    private var outOfOrder = 0
    private var refused = 0
    private var closed: [String: Int] = [:]

    /// - Parameter readers: the number of readers of each chat.
    func begin(_ pace: Pace, readers: Int, edits: Int, at start: Int64) {
        self.edits = edits
        dueAt = (0..<pace.count).map { start + pace.moment(of: $0) }
        answeredAt = Array(repeating: 0, count: pace.count)
        uncounted = pace.uncounted
        deliveries.reserveCapacity(pace.count * readers)
    }

    func isEdit(_ index: Int) -> Bool { edits > 0 && index % edits == 0 }

    func answered(_ index: Int, isDone: Bool) {
        answeredAt[index] = .monotonic
        if !isDone { refused += 1 }
    }

    /// - Parameter index: the index of a message that this process wrote; nil while it writes none.
    func received(_ index: Int?, isInOrder: Bool, at moment: Int64) {
        received += 1
        if !isInOrder { outOfOrder += 1 }
        if let index, index < dueAt.count { deliveries.append((UInt32(index), moment)) }
    }

    func ended(_ reason: String) { closed[reason, default: 0] += 1 }

    struct Report: Encodable {
        let seconds: Double
        let written: Int
        let received: Int
        let out_of_order: Int
        let refused: Int
        let closed: [String: Int]
        let send_to_delivery: Latency?
        /// Of edits alone.
        let edit_to_delivery: Latency?
        let answer_to_delivery: Latency?
        let send_to_answer: Latency?
    }

    func report(seconds: Double) -> Report {
        let counted = deliveries.filter { $0.index >= uncounted }
        let answered = answeredAt.indices.dropFirst(uncounted).filter { answeredAt[$0] > 0 }
        return Report(
            seconds: seconds, written: answeredAt.count { $0 > 0 }, received: received, out_of_order: outOfOrder,
            refused: refused, closed: closed,
            send_to_delivery: .init(counted.map { $0.at - dueAt[Int($0.index)] }),
            edit_to_delivery: .init(
                counted.filter { isEdit(Int($0.index)) }.map { $0.at - dueAt[Int($0.index)] }),
            // Many arrive before the answer, because their commit was before it too.
            answer_to_delivery: .init(
                counted.filter { answeredAt[Int($0.index)] > 0 }.map { max(0, $0.at - answeredAt[Int($0.index)]) }),
            send_to_answer: .init(answered.map { answeredAt[$0] - dueAt[$0] }))
    }
}

extension Int64 {
    /// Nanoseconds of the event loops' clock.
    static var monotonic: Int64 { Int64(clamping: NIODeadline.now().uptimeNanoseconds) }
}
