/// The order in which queues are polled.
struct QueueOrder: Sendable {
    private let isStrict: Bool
    /// The queues' numbers, each repeated by its weight.
    private let numbers: [Int]

    init(_ configuration: WorkerConfiguration) {
        isStrict = configuration.isStrict || configuration.queues.count == 1
        numbers = configuration.queues.enumerated().flatMap { number, queue in
            Array(repeating: number, count: configuration.isStrict ? 1 : max(1, queue.weight))
        }
    }

    /// Each queue's number once.
    func next() -> [Int] {
        if isStrict { return Array(Set(numbers)).sorted() }
        var seen: Set<Int> = []
        return numbers.shuffled().filter { seen.insert($0).inserted }
    }
}
