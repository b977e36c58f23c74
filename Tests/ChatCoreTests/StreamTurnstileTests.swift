import Synchronization
import TestSupport
import Testing

@testable import ChatCore

private final class Inside: Sendable {
    private let state = Mutex((now: 0, most: 0, all: 0))

    var seen: (now: Int, most: Int, all: Int) { state.withLock(\.self) }

    func come() { state.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.all + 1) } }
    func go() { state.withLock { $0.now -= 1 } }
}

@Suite(.timeLimit(.minutes(1))) struct StreamTurnstileTests {
    @Test func letsAFewThroughAtATime() async throws {
        let turnstile = Turnstile(places: 3)
        let inside = Inside()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<200 {
                group.addTask {
                    guard await turnstile.enter() else { return }
                    inside.come()
                    for _ in 0..<5 { await Task.yield() }
                    inside.go()
                    turnstile.leave()
                }
            }
        }
        let (now, most, all) = inside.seen
        #expect(now == 0 && most <= 3 && all == 200)
    }

    @Test func whoIsCancelledTakesNoPlace() async throws {
        let turnstile = Turnstile(places: 1)
        #expect(await turnstile.enter())
        let impatient = Task { await turnstile.enter() }
        let patient = Task { await turnstile.enter() }
        impatient.cancel()
        #expect(await !impatient.value)
        turnstile.leave()
        #expect(await patient.value)
        turnstile.leave()
        #expect(await turnstile.enter())
    }

    @Test func closedItLetsNobodyIn() async throws {
        let turnstile = Turnstile(places: 1)
        #expect(await turnstile.enter())
        let waiting = (0..<5).map { _ in Task { await turnstile.enter() } }
        turnstile.close()
        for task in waiting { #expect(await !task.value) }
        turnstile.leave()
        #expect(await !turnstile.enter())
    }
}
