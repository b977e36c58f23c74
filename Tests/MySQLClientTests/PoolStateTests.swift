import Testing

@testable import MySQLClient

struct PoolStateTests {
    private typealias State = MySQLPoolState<String, Int>

    private func state(size: Int = 2, waiting: Int = 2, recheckAfter: Duration = .seconds(60)) -> State {
        var limits = MySQLPoolLimits(size: size, waiting: waiting)
        limits.recheckAfter = recheckAfter
        limits.maxAge = .seconds(100)
        return State(limits: limits)
    }

    private let a = ServerFacts.Server(node: "A")
    private let b = ServerFacts.Server(node: "B")

    /// With three connections to a server, the first of them lent, the others idle.
    private func state(at server: ServerFacts.Server) -> State {
        var state = state(size: 3)
        for (waiter, name) in [(1, "x"), (2, "y"), (3, "z")] {
            _ = acquire(&state, waiter)
            _ = state.opened(name, at: server, now: .zero)
        }
        for name in ["y", "z"] { _ = state.returned(name, isReusable: true, now: .zero) }
        return state
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
        // With a dead connection those that idled for as long are closed too; the others stay.
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
        // Callers wait while another attempt is in progress.
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
        // The last connection breaks while no new one can be made: waiting is pointless.
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

    @Test func aServerThatRefusesIsLeft() {
        var state = state(at: a)
        #expect(say(state.leave(a, now: .seconds(1))) == ["close y", "close z"])
        // Newer connections may lead there, because it may be writable again.
        #expect(acquire(&state, 4, at: .seconds(1)) == ["open"])
        #expect(say(state.opened("v", at: a, now: .seconds(2))) == ["lend v to 4"])
        #expect(say(state.returned("v", isReusable: true, now: .seconds(2))) == [])
        // A lent connection is closed when it comes back, and not lent to a waiting caller.
        #expect(acquire(&state, 5, at: .seconds(2)) == ["lend v to 5"])
        #expect(acquire(&state, 6, at: .seconds(2)) == ["open"])
        #expect(say(state.returned("x", isReusable: true, now: .seconds(2))) == ["close x"])
        #expect(say(state.opened("w", at: b, now: .seconds(2))) == ["lend w to 6"])
        // Leaving one server leaves connections to the others alone.
        _ = state.returned("w", isReusable: true, now: .seconds(2))
        #expect(say(state.leave(a, now: .seconds(3))) == [])
        #expect(state.idleCount == 1)
        #expect(say(state.returned("v", isReusable: true, now: .seconds(3))) == ["close v"])
    }

    @Test func allFollowTheWrites() {
        var state = state(at: a)
        #expect(say(state.follow(a, now: .zero)) == [])
        #expect(say(state.follow(nil, now: .zero)) == [])
        #expect(say(state.follow(b, now: .zero)) == ["close y", "close z"])
        #expect(acquire(&state, 4) == ["open"])
        #expect(say(state.returned("x", isReusable: true, now: .zero)) == ["close x"])
        // A connection that was being opened while the writes moved, and leads to the old server.
        #expect(say(state.opened("v", at: a, now: .zero)) == ["close v", "open"])
        #expect(say(state.opened("w", at: b, now: .zero)) == ["lend w to 4"])
        // Nodes of one cluster are alike.
        let (one, other) = (
            ServerFacts.Server(node: "1", data: "cluster"), ServerFacts.Server(node: "2", data: "cluster")
        )
        var galera = self.state(at: one)
        #expect(say(galera.follow(other, now: .zero)) == [])
        #expect(say(galera.leave(other, now: .zero)) == [])
        #expect(galera.idleCount == 2)
    }

    @Test func aConnectionHasAGreatestAge() {
        var state = state(size: 3, recheckAfter: .seconds(95))
        for (waiter, name, jitter) in [(1, "x", 0.0), (2, "y", 0.5), (3, "z", 1.0)] {
            _ = acquire(&state, waiter)
            _ = state.opened(name, jitter: jitter, now: .zero)
        }
        // Idle ones go with the sweep, or when they would be lent.
        _ = state.returned("z", isReusable: true, now: .seconds(73))
        #expect(say(state.sweep(now: .seconds(74))) == [])
        #expect(say(state.sweep(now: .seconds(75))) == ["close z"])
        _ = state.returned("y", isReusable: true, now: .seconds(86))
        #expect(acquire(&state, 4, at: .seconds(88)) == ["close y", "open"])
        #expect(say(state.opened("v", now: .seconds(89))) == ["lend v to 4"])
        // A lent connection is closed when it comes back. A check does not reset its age.
        #expect(say(state.returned("x", isReusable: true, now: .seconds(99))) == ["check x"])
        #expect(say(state.opened("x", now: .seconds(100))) == ["close x"])
        #expect(say(state.returned("v", isReusable: true, now: .seconds(100))) == [])
    }

    @Test func busyOnesAreCheckedNowAndThen() {
        var state = state(size: 1, recheckAfter: .seconds(5))
        _ = acquire(&state, 1)
        _ = state.opened("x", at: a, now: .zero)
        #expect(acquire(&state, 2, at: .seconds(4)) == [])
        #expect(say(state.returned("x", isReusable: true, now: .seconds(4))) == ["lend x to 2"])
        #expect(acquire(&state, 3, at: .seconds(5)) == [])
        #expect(say(state.returned("x", isReusable: true, now: .seconds(5))) == ["check x"])
        #expect(say(state.opened("x", at: a, now: .seconds(6))) == ["lend x to 3"])
        #expect(say(state.returned("x", isReusable: true, now: .seconds(10))) == [])
        // Behind a proxy it may lead elsewhere by then.
        _ = acquire(&state, 4, at: .seconds(10))
        _ = state.returned("x", isReusable: true, now: .seconds(11))
        _ = state.opened("x", at: b, now: .seconds(11))
        #expect(state.server(of: "x") == b)
    }
}
