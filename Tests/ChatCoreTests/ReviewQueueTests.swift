import Synchronization
import TestSupport
import Testing

@testable import ChatCore

struct ReviewQueueTests {
    private actor Reviewer {
        private(set) var done: [Int] = []
        private(set) var mostAtOnce = 0
        private var running = 0
        private var isOpen = false
        private var waiters: [CheckedContinuation<Void, Never>] = []

        func review(_ subject: Int) async {
            running += 1
            mostAtOnce = max(mostAtOnce, running)
            if !isOpen { await withCheckedContinuation { waiters.append($0) } }
            running -= 1
            done.append(subject)
        }

        func open() {
            isOpen = true
            for waiter in waiters { waiter.resume() }
            waiters = []
        }

        var isBusy: Bool { running > 0 }
    }

    @Test func oneAtATimeAndWhatWaitsOnce() async throws {
        let (queue, reviewer) = (ReviewQueue<Int>(everything: 0), Reviewer())
        func ask(_ subject: Int) { queue.ask(for: subject) { await reviewer.review($0) } }
        ask(1)
        try await eventually("the first one runs") { await reviewer.isBusy }
        // It has looked by now: what is asked for meanwhile comes after it.
        for _ in 0..<100 { for subject in [1, 2, 3] { ask(subject) } }
        await reviewer.open()
        try await eventually("all ran") { await reviewer.done.count == 4 }
        #expect(await reviewer.done == [1, 1, 2, 3])
        ask(2)
        try await eventually("another one ran") { await reviewer.done.count == 5 }
        #expect(await reviewer.mostAtOnce == 1)
    }

    @Test func tooManyBecomeOneOfEverything() async throws {
        let (queue, reviewer) = (ReviewQueue<Int>(everything: 0, bound: 10), Reviewer())
        func ask(_ subject: Int) { queue.ask(for: subject) { await reviewer.review($0) } }
        ask(1)
        try await eventually("the first one runs") { await reviewer.isBusy }
        for subject in 1...1000 { ask(subject) }
        await reviewer.open()
        try await eventually("they ran") { await reviewer.done.count == 2 }
        #expect(await reviewer.done == [1, 0])
        ask(5)
        try await eventually("another one ran") { await reviewer.done.count == 3 }
        #expect(await reviewer.done == [1, 0, 5])
    }
}
