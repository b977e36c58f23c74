import Scheduling

/// The bounds and times of a pool.
struct MySQLPoolLimits: Sendable {
    /// Connections, those being opened counted.
    var size: Int
    /// Callers that wait, those for whom a connection is being opened not counted.
    var waiting: Int
    /// A connection idle for longer is checked before it is lent.
    var checkAfter = Duration.seconds(5)
    /// A connection idle for longer is checked by the sweep, so that the server does not tire of it (`wait_timeout`).
    var sweepAfter = Duration.seconds(30)
    /// A connection that comes back and was checked longer ago than that is checked again: one that is always busy notices
    /// a switch-over too.
    var recheckAfter = Duration.seconds(5)
    /// A connection that is older is not lent again: the address may lead to another server by now. Each one's own age is
    /// by up to a quarter less, so that they do not end together.
    var maxAge = Duration.seconds(60)
    /// How long after a failure nobody tries to connect.
    var backoff = Backoff(first: .milliseconds(50), longest: .seconds(1))
}

/// The pool's decisions, without a thread, a clock or a server (`MySQLPool` acts on them).
///
/// A connection is *being opened* (or checked, which is the same to everybody else), *idle* or *lent*. Who asks waits in
/// line, unless there is a fresh idle connection; whatever becomes free goes to the front of the line. While the server
/// cannot be reached and no connection is left, everybody is refused at once until the back-off is over, and then one
/// attempt is made.
///
/// Connections that are too old, that lead to a server which was left (it refuses writes), or to another than the pool's
/// home (where the writes go now), are closed instead of being lent: idle ones at once, lent ones when they come back.
struct MySQLPoolState<Connection: Hashable & Sendable, Waiter: Sendable>: Sendable {
    typealias Ticket = UInt64
    typealias Server = ServerFacts.Server

    /// What the shell has to do, in order.
    enum Action: Sendable {
        /// Open a connection and report with `opened` or `openFailed`.
        case open
        /// See whether it is alive and report with `opened` or `checkFailed`.
        case check(Connection)
        case lend(Connection, to: Waiter)
        case refuse(Waiter, MySQLError)
        /// Close it and report with `closed`.
        case close(Connection)
    }

    private struct Idle {
        let connection: Connection
        let since: Duration
    }

    private struct Details {
        var server: Server
        let expires: Duration
        var checked: Duration
        /// The pool's, when it was opened.
        let generation: UInt64
    }

    private struct Place {
        let ticket: Ticket
        let waiter: Waiter
        let deadline: Duration
    }

    private let limits: MySQLPoolLimits
    /// Of the connections there are.
    private var details: [Connection: Details] = [:]
    /// Rises when a server is left.
    private var generation: UInt64 = 0
    /// Servers that were left, and in which generation: only younger connections to them are used.
    private var left: [Server: UInt64] = [:]
    /// Where all connections have to lead; nil for anywhere.
    private var home: Server?
    /// The one used last at the end: it is lent first, so that few stay warm.
    private var idle: [Idle] = []
    private var line: [Place] = []
    private var opening = 0
    private var lent = 0
    private var closing = 0
    private var backoff: Backoff
    private var failure: MySQLError?
    private var retryAt = Duration.zero
    private var scheduled: Duration?
    private(set) var isClosed = false

    init(limits: MySQLPoolLimits) {
        self.limits = limits
        self.backoff = limits.backoff
    }

    /// Connections there are or will be.
    var open: Int { idle.count + lent + opening }
    var idleCount: Int { idle.count }
    var lentCount: Int { lent }
    var waitingCount: Int { line.count }
    /// Whether connecting failed and has not succeeded since.
    var isFailing: Bool { backoff.failures > 0 }
    /// Whether the pool is closed and every connection as well.
    var isDrained: Bool { isClosed && open == 0 && closing == 0 }

    /// Somebody wants a connection, until the deadline.
    mutating func acquire(_ waiter: Waiter, ticket: Ticket, deadline: Duration, now: Duration) -> [Action] {
        if isClosed { return [.refuse(waiter, Self.closedError)] }
        var actions: [Action] = []
        while let newest = idle.last, mustGo(newest.connection, now) {
            idle.removeLast()
            actions.append(end(newest.connection))
        }
        // One that is fresh means an empty line: it would have gone to the front else.
        if let newest = idle.last, now - newest.since <= limits.checkAfter {
            idle.removeLast()
            lent += 1
            return actions + [.lend(newest.connection, to: waiter)]
        }
        if let failure = failureToTell(now) { return actions + [.refuse(waiter, failure)] }
        // A connection may be made ready for this one alone; else it counts among those that wait.
        let isExpected = line.count <= opening && lent + opening < limits.size && (!isFailing || opening == 0)
        guard isExpected || line.count - opening < limits.waiting else {
            return actions + [.refuse(waiter, MySQLError(.poolExhausted, "Too many wait for a database connection"))]
        }
        line.append(Place(ticket: ticket, waiter: waiter, deadline: deadline))
        return actions + serveLine(now)
    }

    /// Somebody does not want one any more.
    ///
    /// - Returns: the waiter, or nil if it was served before.
    mutating func cancel(_ ticket: Ticket) -> Waiter? {
        guard let index = line.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return line.remove(at: index).waiter
    }

    /// A connection was opened, or found well.
    ///
    /// - Parameters:
    ///   - server: where it leads.
    ///   - jitter: from 0 to 1, at random: takes that much of a quarter off its age.
    mutating func opened(
        _ connection: Connection, at server: Server = Server(node: ""), jitter: Double = 0, now: Duration
    ) -> [Action] {
        let known = details[connection]
        details[connection] = Details(
            server: server, expires: known?.expires ?? now + limits.maxAge * (1 - jitter / 4), checked: now,
            generation: known?.generation ?? generation)
        opening -= 1
        backoff.reset()
        failure = nil
        retryAt = .zero
        return place(connection, now)
    }

    /// - Parameter jitter: from 0 to 1, at random.
    mutating func openFailed(_ error: MySQLError, jitter: Double, now: Duration) -> [Action] {
        opening -= 1
        failure = error
        retryAt = now + backoff.pause(chance: jitter)
        return refuseLine(now) + serveLine(now)
    }

    /// It was dead. Those that idle for long are most likely as well: the server was restarted, or a firewall forgot us.
    mutating func checkFailed(_ connection: Connection, now: Duration) -> [Action] {
        opening -= 1
        let dead = idle.filter { now - $0.since > limits.checkAfter }
        idle.removeAll { now - $0.since > limits.checkAfter }
        return [end(connection)] + dead.map { end($0.connection) } + refuseLine(now) + serveLine(now)
    }

    /// A server refuses what the pool is for: no connection that leads there now is used again.
    mutating func leave(_ server: Server, now: Duration) -> [Action] {
        generation += 1
        left = left.filter { old, _ in details.values.contains { $0.server == old } }
        left[server] = generation
        return dropIdle(now) + refuseLine(now) + serveLine(now)
    }

    /// Where a connection leads.
    func server(of connection: Connection) -> Server? { details[connection]?.server }

    /// Writes go there now.
    ///
    /// - Parameter home: nil when nobody knows: then anywhere will do.
    mutating func follow(_ home: Server?, now: Duration) -> [Action] {
        self.home = home
        return dropIdle(now)
    }

    /// A lent connection comes back.
    mutating func returned(_ connection: Connection, isReusable: Bool, now: Duration) -> [Action] {
        lent -= 1
        guard isReusable, !isClosed, !mustGo(connection, now) else {
            return [end(connection)] + refuseLine(now) + serveLine(now)
        }
        if let details = details[connection], now - details.checked >= limits.recheckAfter {
            opening += 1
            return [.check(connection)] + serveLine(now)
        }
        return place(connection, now)
    }

    mutating func closed() { closing -= 1 }

    /// To be called at the moment `schedule` said: refuses whose deadline has passed, and tries again to connect.
    mutating func wake(_ moment: Duration, now: Duration) -> [Action] {
        if scheduled == moment { scheduled = nil }
        let late = line.filter { $0.deadline <= now }
        line.removeAll { $0.deadline <= now }
        // What keeps new connections from being made says more than that there was none.
        let error = failure ?? MySQLError(.poolExhausted, "Waited too long for a database connection")
        return late.map { .refuse($0.waiter, error) } + serveLine(now)
    }

    /// - Returns: when `wake` has to be called, where nobody was told yet.
    mutating func schedule() -> Duration? {
        guard var next = line.lazy.map(\.deadline).min() else { return nil }
        if isFailing, opening == 0, open < limits.size { next = min(next, retryAt) }
        if let scheduled, scheduled <= next { return nil }
        scheduled = next
        return next
    }

    /// Has those checked that idle for long.
    mutating func sweep(now: Duration) -> [Action] {
        let gone = dropIdle(now)
        let old = idle.filter { now - $0.since >= limits.sweepAfter }
        idle.removeAll { now - $0.since >= limits.sweepAfter }
        opening += old.count
        return gone + old.map { .check($0.connection) }
    }

    /// Refuses everybody from now on; what is lent is closed when it comes back.
    mutating func close() -> [Action] {
        isClosed = true
        let actions: [Action] =
            line.map { .refuse($0.waiter, Self.closedError) } + idle.map { end($0.connection) }
        line = []
        idle = []
        return actions
    }

    /// A good connection is free: to the first in the line with it.
    private mutating func place(_ connection: Connection, _ now: Duration) -> [Action] {
        if isClosed { return [end(connection)] }
        if mustGo(connection, now) { return [end(connection)] + serveLine(now) }
        if line.isEmpty {
            idle.append(Idle(connection: connection, since: now))
            return []
        }
        lent += 1
        return [.lend(connection, to: line.removeFirst().waiter)] + serveLine(now)
    }

    /// Opens or checks as many connections as there are people in the line, as far as allowed.
    private mutating func serveLine(_ now: Duration) -> [Action] {
        var actions: [Action] = []
        while line.count > opening {
            if let old = idle.popLast() {
                if mustGo(old.connection, now) {
                    actions.append(end(old.connection))
                    continue
                }
                actions.append(.check(old.connection))
            } else if open < limits.size, !isFailing || (opening == 0 && now >= retryAt) {
                actions.append(.open)
            } else {
                break
            }
            opening += 1
        }
        return actions
    }

    private func mustGo(_ connection: Connection, _ now: Duration) -> Bool {
        guard let details = details[connection] else { return false }
        if let home, home.data != details.server.data { return true }
        return details.generation < left[details.server] ?? 0 || now >= details.expires
    }

    private mutating func dropIdle(_ now: Duration) -> [Action] {
        let gone = idle.filter { mustGo($0.connection, now) }
        idle = idle.filter { !mustGo($0.connection, now) }
        return gone.map { end($0.connection) }
    }

    private mutating func end(_ connection: Connection) -> Action {
        details[connection] = nil
        closing += 1
        return .close(connection)
    }

    /// Why nobody needs to wait; nil when waiting may help.
    private func failureToTell(_ now: Duration) -> MySQLError? { open == 0 && now < retryAt ? failure : nil }

    private mutating func refuseLine(_ now: Duration) -> [Action] {
        guard let failure = failureToTell(now) else { return [] }
        defer { line = [] }
        return line.map { .refuse($0.waiter, failure) }
    }

    private static var closedError: MySQLError { MySQLError(.closed, "The pool of database connections is closed") }
}
