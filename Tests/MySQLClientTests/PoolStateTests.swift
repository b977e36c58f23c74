import Testing

@testable import MySQLClient

struct PoolStateTests {
    private typealias State = MySQLPoolState<String, Int>

    private func state(size: Int = 2, waiting: Int = 2) -> State {
        State(limits: MySQLPoolLimits(size: size, waiting: waiting))
    }

    /// Actions as text: `lend a to 1`.
    private func say(_ actions: [State.Action]) -> [String] {
        actions.map { action in
            switch action {
            case .open: "open"
            case .check(let connection): "check \(connection)"
            case .lend(let connection, let waiter): "lend \(connection) to \(waiter)"
            case .refuse(let waiter, let error): "refuse \(waiter): \(error.kind)"
            case .close(let connection): "close \(connection)"
            }
        }
    }

    private func acquire(
        _ state: inout State, _ waiter: Int, at now: Duration = .zero, for time: Duration = .seconds(5)
    )
        -> [String]
    {
        say(state.acquire(waiter, ticket: UInt64(waiter), deadline: now + time, now: now))
    }

    @Test func lendsInOrderAndWithinBounds() {
        var state = state()
        #expect(acquire(&state, 1) == ["open"])
        #expect(acquire(&state, 2) == ["open"])
        #expect(acquire(&state, 3) == [])
        #expect(acquire(&state, 4) == [])
        #expect(acquire(&state, 5) == ["refuse 5: poolExhausted"])
        #expect(state.open == 2)
        #expect(say(state.opened("a", now: .zero)) == ["lend a to 1"])
        #expect(say(state.opened("b", now: .zero)) == ["lend b to 2"])
        #expect(say(state.returned("b", isReusable: true, now: .zero)) == ["lend b to 3"])
        #expect(say(state.returned("b", isReusable: true, now: .zero)) == ["lend b to 4"])
        #expect(say(state.returned("a", isReusable: true, now: .zero)) == [])
        #expect(state.idleCount == 1)
        #expect(acquire(&state, 6) == ["lend a to 6"])
    }

    @Test func theOneUsedLastIsLentFirst() {
        var state = state()
        _ = acquire(&state, 1)
        _ = acquire(&state, 2)
        _ = state.opened("a", now: .zero)
        _ = state.opened("b", now: .zero)
        _ = state.returned("a", isReusable: true, now: .seconds(1))
        _ = state.returned("b", isReusable: true, now: .seconds(2))
        #expect(acquire(&state, 3, at: .seconds(3)) == ["lend b to 3"])
    }

    @Test func nobodyMayWait() {
        var state = state(size: 1, waiting: 0)
        #expect(acquire(&state, 1) == ["open"])
        #expect(acquire(&state, 2) == ["refuse 2: poolExhausted"])
        #expect(say(state.opened("a", now: .zero)) == ["lend a to 1"])
        #expect(acquire(&state, 3) == ["refuse 3: poolExhausted"])
        _ = state.returned("a", isReusable: true, now: .zero)
        #expect(acquire(&state, 4) == ["lend a to 4"])
    }

    @Test func brokenOnesAreReplaced() {
        var state = state(size: 1)
        _ = acquire(&state, 1)
        _ = state.opened("a", now: .zero)
        #expect(acquire(&state, 2) == [])
        #expect(say(state.returned("a", isReusable: false, now: .zero)) == ["close a", "open"])
        #expect(say(state.opened("b", now: .zero)) == ["lend b to 2"])
    }

    @Test func idleOnesAreCheckedFirst() {
        var state = state(size: 3)
        for waiter in 1...3 { _ = acquire(&state, waiter) }
        for name in ["a", "b", "c"] { _ = state.opened(name, now: .zero) }
        for name in ["a", "b", "c"] { _ = state.returned(name, isReusable: true, now: .zero) }
        #expect(acquire(&state, 4, at: .seconds(5)) == ["lend c to 4"])
        #expect(acquire(&state, 5, at: .seconds(6)) == ["check b"])
        #expect(state.open == 3)
        #expect(say(state.opened("b", now: .seconds(6))) == ["lend b to 5"])
        _ = state.returned("b", isReusable: true, now: .seconds(6))
        _ = state.returned("c", isReusable: true, now: .seconds(6))
        // A dead one takes those with it that idled for as long; the others stay.
        #expect(acquire(&state, 6, at: .seconds(6)) == ["lend c to 6"])
        #expect(say(state.sweep(now: .seconds(30))) == ["check a"])
        #expect(say(state.checkFailed("a", now: .seconds(30))) == ["close a", "close b"])
        #expect(state.open == 1)
        #expect(acquire(&state, 7, at: .seconds(30)) == ["open"])
    }

    @Test func whoeverWaitsForACheckMayGetAnother() {
        var state = state(size: 2)
        _ = acquire(&state, 1)
        _ = acquire(&state, 2)
        _ = state.opened("a", now: .zero)
        _ = state.opened("b", now: .zero)
        _ = state.returned("a", isReusable: true, now: .zero)
        #expect(acquire(&state, 3, at: .seconds(9)) == ["check a"])
        #expect(say(state.returned("b", isReusable: true, now: .seconds(9))) == ["lend b to 3"])
        #expect(say(state.opened("a", now: .seconds(10))) == [])
        #expect(state.idleCount == 1)
    }

    @Test func failsFastWhileTheServerIsAway() {
        let error = MySQLError(.cannotConnect, "away")
        var state = state()
        #expect(acquire(&state, 1) == ["open"])
        #expect(acquire(&state, 2) == ["open"])
        // While another attempt is on its way there is hope.
        #expect(say(state.openFailed(error, jitter: 1, now: .zero)) == [])
        #expect(
            say(state.openFailed(error, jitter: 1, now: .zero)) == [
                "refuse 1: cannotConnect", "refuse 2: cannotConnect",
            ])
        #expect(acquire(&state, 3, at: .milliseconds(99)) == ["refuse 3: cannotConnect"])
        // Then one attempt, for all.
        #expect(acquire(&state, 4, at: .milliseconds(100)) == ["open"])
        #expect(acquire(&state, 5, at: .milliseconds(100)) == [])
        #expect(say(state.openFailed(error, jitter: 0, now: .milliseconds(100))).count == 2)
        #expect(acquire(&state, 6, at: .milliseconds(199)) == ["refuse 6: cannotConnect"])
        #expect(acquire(&state, 7, at: .milliseconds(200)) == ["open"])
        #expect(acquire(&state, 8, at: .milliseconds(200)) == [])
        #expect(say(state.opened("a", now: .milliseconds(201))) == ["lend a to 7", "open"])
        #expect(!state.isFailing)
    }

    @Test func backOffHasABound() {
        let error = MySQLError(.cannotConnect, "away")
        var state = state()
        var now = Duration.zero
        for attempt in 1...100 {
            #expect(acquire(&state, attempt, at: now) == ["open"])
            _ = state.openFailed(error, jitter: 1, now: now)
            now += .seconds(1)
        }
    }

    @Test func waitsForOthersWhileThereAreSome() {
        let error = MySQLError(.tooManyConnections, "full")
        var state = state(size: 3)
        _ = acquire(&state, 1)
        _ = state.opened("a", now: .zero)
        #expect(acquire(&state, 2) == ["open"])
        #expect(say(state.openFailed(error, jitter: 1, now: .zero)) == [])
        #expect(state.schedule() == .milliseconds(50))
        #expect(state.schedule() == nil)
        #expect(say(state.wake(.milliseconds(50), now: .milliseconds(50))) == ["open"])
        #expect(say(state.openFailed(error, jitter: 1, now: .milliseconds(50))) == [])
        #expect(say(state.returned("a", isReusable: true, now: .milliseconds(60))) == ["lend a to 2"])
        // The last one breaks while nobody can connect: nothing is worth waiting for.
        #expect(acquire(&state, 3, at: .milliseconds(61)) == [])
        #expect(
            say(state.returned("a", isReusable: false, now: .milliseconds(62)))
                == ["close a", "refuse 3: tooManyConnections"])
    }

    @Test func deadlinesAndCancellation() {
        var state = state(size: 1, waiting: 9)
        _ = acquire(&state, 1)
        _ = state.opened("a", now: .zero)
        _ = acquire(&state, 2, for: .seconds(5))
        #expect(state.schedule() == .seconds(5))
        _ = acquire(&state, 3, for: .seconds(2))
        #expect(state.schedule() == .seconds(2))
        _ = acquire(&state, 4, for: .seconds(3))
        #expect(state.schedule() == nil)
        #expect(say(state.wake(.seconds(2), now: .seconds(2))) == ["refuse 3: poolExhausted"])
        #expect(state.schedule() == .seconds(3))
        #expect(state.cancel(4) == 4)
        #expect(state.cancel(4) == nil)
        #expect(say(state.returned("a", isReusable: true, now: .seconds(4))) == ["lend a to 2"])
        #expect(state.cancel(2) == nil)
        #expect(say(state.wake(.seconds(3), now: .seconds(4))) == [])
        #expect(state.schedule() == nil)
    }

    @Test func closing() {
        var state = state()
        for waiter in 1...3 { _ = acquire(&state, waiter) }
        _ = state.opened("a", now: .zero)
        _ = state.returned("a", isReusable: true, now: .zero)
        #expect(acquire(&state, 4) == [])
        #expect(say(state.close()) == ["refuse 3: closed", "refuse 4: closed"])
        #expect(acquire(&state, 5) == ["refuse 5: closed"])
        #expect(say(state.opened("b", now: .zero)) == ["close b"])
        #expect(!state.isDrained)
        #expect(say(state.returned("a", isReusable: true, now: .zero)) == ["close a"])
        state.closed()
        #expect(!state.isDrained)
        state.closed()
        #expect(state.isDrained)
        #expect(say(state.close()) == [])
    }
}
