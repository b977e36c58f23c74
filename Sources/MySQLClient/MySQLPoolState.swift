import Scheduling

/// The limits and time-outs of a pool.
struct MySQLPoolLimits: Sendable {
    /// The most connections, including those being opened.
    var size: Int
    /// The most waiting callers, without those for whom a connection is being opened.
    var waiting: Int
    /// A connection idle for longer is checked before it is lent.
    var checkAfter = Duration.seconds(5)
    /// The sweep checks a connection that is idle for longer, so that the server does not close it (`wait_timeout`).
    var sweepAfter = Duration.seconds(30)
    /// A returned connection is checked again after this time, so that one that is always busy notices a switch-over
    /// too.
    var recheckAfter = Duration.seconds(5)
    /// An older connection is not lent again: the address may lead to another server by now. Each one's limit is up to
    /// a quarter less, so that they do not end together.
    var maxAge = Duration.seconds(60)
    /// The pause after a failed attempt to connect.
    var backoff = Backoff(first: .milliseconds(50), longest: .seconds(1))
}

/// The state machine of the pool, without a thread, a clock or a server. `MySQLPool` acts on its decisions.
///
/// A connection is *being opened* (or checked, which is the same for callers), *idle* or *lent*. A caller waits in
/// line, unless there is a fresh idle connection; the first in line gets the next free connection. While the server
/// cannot be reached and no connection is left, all callers are refused at once until the backoff is over; then one
/// attempt is made.
///
/// Connections are closed if they are too old, lead to a server that was left (it refuses writes), or to another server
/// than the pool's home (which takes the writes): idle ones at once, lent ones when they come back.
struct MySQLPoolState<Connection: Hashable & Sendable, Waiter: Sendable>: Sendable {
    typealias Ticket = UInt64
    typealias Server = ServerFacts.Server

    /// What the pool must do, in order.
    enum Action: Sendable {
        /// Open a connection and report with `opened` or `openFailed`.
        case open
        /// Check it, and report with `opened` or `checkFailed`.
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
        /// The pool's generation when it was opened.
        let generation: UInt64
    }

    private struct Place {
        let ticket: Ticket
        let waiter: Waiter
        let deadline: Duration
    }

    private let limits: MySQLPoolLimits
    /// The state of each connection.
    private var details: [Connection: Details] = [:]
    /// Rises when a server is left.
    private var generation: UInt64 = 0
    /// Servers that were left, with the generation: only younger connections to them are used.
    private var left: [Server: UInt64] = [:]
    /// The server to which all connections must lead; nil for any.
    private var home: Server?
    /// The most recently used one is last, and is lent first, so that few stay warm.
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

    /// Connections that are open or being opened.
    var open: Int { idle.count + lent + opening }
    var idleCount: Int { idle.count }
    var lentCount: Int { lent }
    var waitingCount: Int { line.count }
    /// Whether connecting failed and has not succeeded since.
    var isFailing: Bool { backoff.failures > 0 }
    /// Whether the pool is closed and every connection as well.
    var isDrained: Bool { isClosed && open == 0 && closing == 0 }

    /// A caller wants a connection before the deadline.
    mutating func acquire(_ waiter: Waiter, ticket: Ticket, deadline: Duration, now: Duration) -> [Action] {
        if isClosed { return [.refuse(waiter, Self.closedError)] }
        var actions: [Action] = []
        while let newest = idle.last, mustGo(newest.connection, now) {
            idle.removeLast()
            actions.append(end(newest.connection))
        }
        // A fresh idle connection means that nobody waits: otherwise the first in line would have it.
        if let newest = idle.last, now - newest.since <= limits.checkAfter {
            idle.removeLast()
            lent += 1
            return actions + [.lend(newest.connection, to: waiter)]
        }
        if let failure = failureToTell(now) { return actions + [.refuse(waiter, failure)] }
        // If a connection can be opened or checked for this caller, it does not count as waiting.
        let isExpected = line.count <= opening && lent + opening < limits.size && (!isFailing || opening == 0)
        guard isExpected || line.count - opening < limits.waiting else {
            return actions + [.refuse(waiter, MySQLError(.poolExhausted, "Too many wait for a database connection"))]
        }
        line.append(Place(ticket: ticket, waiter: waiter, deadline: deadline))
        return actions + serveLine(now)
    }

    /// A caller gives up.
    ///
    /// - Returns: the waiter; nil if it was served before.
    mutating func cancel(_ ticket: Ticket) -> Waiter? {
        guard let index = line.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return line.remove(at: index).waiter
    }

    /// A connection was opened, or has passed its check.
    ///
    /// - Parameters:
    ///   - server: the server that it leads to.
    ///   - jitter: random, from 0 to 1: subtracts this part of a quarter from its maximum age.
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

    /// - Parameter jitter: random, from 0 to 1.
    mutating func openFailed(_ error: MySQLError, jitter: Double, now: Duration) -> [Action] {
        opening -= 1
        failure = error
        retryAt = now + backoff.pause(chance: jitter)
        return refuseLine(now) + serveLine(now)
    }

    /// A connection was dead. Other long idle ones probably are too: the server was restarted, or a firewall dropped
    /// them.
    mutating func checkFailed(_ connection: Connection, now: Duration) -> [Action] {
        opening -= 1
        let dead = idle.filter { now - $0.since > limits.checkAfter }
        idle.removeAll { now - $0.since > limits.checkAfter }
        return [end(connection)] + dead.map { end($0.connection) } + refuseLine(now) + serveLine(now)
    }

    /// A server refuses the pool's work: no existing connection to it is used again.
    mutating func leave(_ server: Server, now: Duration) -> [Action] {
        generation += 1
        left = left.filter { old, _ in details.values.contains { $0.server == old } }
        left[server] = generation
        return dropIdle(now) + refuseLine(now) + serveLine(now)
    }

    /// The server that a connection leads to.
    func server(of connection: Connection) -> Server? { details[connection]?.server }

    /// The server that takes the writes has changed.
    ///
    /// - Parameter home: nil if it is unknown: then any server will do.
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

    /// Call it at the moment of `schedule`: refuses callers past their deadline, and retries to connect.
    mutating func wake(_ moment: Duration, now: Duration) -> [Action] {
        if scheduled == moment { scheduled = nil }
        let late = line.filter { $0.deadline <= now }
        line.removeAll { $0.deadline <= now }
        // The reason why no connection can be made is more useful than "none was free".
        let error = failure ?? MySQLError(.poolExhausted, "Waited too long for a database connection")
        return late.map { .refuse($0.waiter, error) } + serveLine(now)
    }

    /// - Returns: when to call `wake`; nil if that is scheduled already.
    mutating func schedule() -> Duration? {
        guard var next = line.lazy.map(\.deadline).min() else { return nil }
        if isFailing, opening == 0, open < limits.size { next = min(next, retryAt) }
        if let scheduled, scheduled <= next { return nil }
        scheduled = next
        return next
    }

    /// Checks long idle connections.
    mutating func sweep(now: Duration) -> [Action] {
        let gone = dropIdle(now)
        let old = idle.filter { now - $0.since >= limits.sweepAfter }
        idle.removeAll { now - $0.since >= limits.sweepAfter }
        opening += old.count
        return gone + old.map { .check($0.connection) }
    }

    /// Refuses all callers from now on; lent connections are closed when they come back.
    mutating func close() -> [Action] {
        isClosed = true
        let actions: [Action] =
            line.map { .refuse($0.waiter, Self.closedError) } + idle.map { end($0.connection) }
        line = []
        idle = []
        return actions
    }

    /// Gives a good connection to the first in line.
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

    /// Opens or checks one connection for each waiting caller, up to the limit.
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

    /// Why waiting is useless; nil if it may help.
    private func failureToTell(_ now: Duration) -> MySQLError? { open == 0 && now < retryAt ? failure : nil }

    private mutating func refuseLine(_ now: Duration) -> [Action] {
        guard let failure = failureToTell(now) else { return [] }
        defer { line = [] }
        return line.map { .refuse($0.waiter, failure) }
    }

    private static var closedError: MySQLError { MySQLError(.closed, "The pool of database connections is closed") }
}
