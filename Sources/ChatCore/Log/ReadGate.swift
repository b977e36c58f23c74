import DequeModule
import Metrics
import Synchronization

/// Limits concurrent reads from the store. Tenants take turns, and a read starts only if its tenant has memory left for
/// the page. So neither many readers of one tenant nor slow ones delay those of others. `ReadLine` decides.
final class ReadGate: Sendable {
    private typealias Waiter = CheckedContinuation<ReadLine.Pass?, Never>

    private struct State {
        var line: ReadLine
        var waiters: [ReadLine.Ticket: Waiter] = [:]
        var isClosed = false
    }

    private let state: Mutex<State>
    private let held: Meter?

    /// - Parameter held: the metric of the held memory.
    init(limits: StreamLimits, held: Meter? = nil) {
        self.state = Mutex(State(line: ReadLine(limits: limits)))
        self.held = held
    }

    /// Waits for a turn of the tenant, and reserves memory for a page. Call `leave` with the pass.
    ///
    /// - Returns: nil if the task was cancelled or the gate closed.
    func enter(_ tenant: Tenant.ID) async -> ReadLine.Pass? {
        let ticket = state.withLock { $0.line.ticket() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                var isRefused = false
                change { state in
                    isRefused = state.isClosed || Task.isCancelled
                    guard !isRefused else { return }
                    state.waiters[ticket] = waiter
                    state.line.enter(ticket, tenant)
                }
                if isRefused { waiter.resume(returning: nil) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                state.line.giveUp(ticket, tenant)
                return state.waiters.removeValue(forKey: ticket)
            }
            waiter?.resume(returning: nil)
        }
    }

    /// - Parameter keeping: bytes of the page, which `giveBack` releases later.
    func leave(_ pass: ReadLine.Pass, keeping bytes: Int = 0) {
        change { $0.line.leave(pass, keeping: bytes) }
    }

    /// Counts bytes that a reader holds without a turn.
    func hold(_ bytes: Int, of tenant: Tenant.ID) { if bytes > 0 { change { $0.line.hold(bytes, of: tenant) } } }

    func change(by bytes: Int, of tenant: Tenant.ID) {
        if bytes < 0 { giveBack(-bytes, of: tenant) } else { hold(bytes, of: tenant) }
    }

    func giveBack(_ bytes: Int, of tenant: Tenant.ID) {
        if bytes > 0 { change { $0.line.giveBack(bytes, of: tenant) } }
    }

    /// Whether the tenant has memory left.
    func hasRoom(_ tenant: Tenant.ID) -> Bool { state.withLock { $0.line.hasRoom(tenant) } }

    /// Refuses all waiting and new reads.
    func close() {
        let waiters = state.withLock { state in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: nil) }
    }

    private func change(_ body: (inout State) -> Void) {
        let served = state.withLock { state in
            body(&state)
            let passes = state.isClosed ? [] : state.line.serve()
            held?.set(state.line.bytes)
            return passes.map { (state.waiters.removeValue(forKey: $0.ticket), $0) }
        }
        for (waiter, pass) in served { waiter?.resume(returning: pass) }
    }
}

/// The state machine of the gate, without tasks.
///
/// Waiting tenants take turns. A tenant that holds little memory gets large pages, then small ones. A tenant that holds
/// as much as is left waits until its own readers have written their pages or have left.
struct ReadLine {
    typealias Ticket = UInt64

    struct Pass: Sendable {
        let ticket: Ticket
        let tenant: Tenant.ID
        /// The limit of the read.
        let size: StreamLimits.Size
        /// The memory reserved for it.
        fileprivate let bytes: Int
    }

    private struct Line {
        /// Includes tickets that gave up, which are removed when they are many.
        var tickets = Deque<Ticket>()
        var waiting = 0
    }

    private let limits: StreamLimits
    private var free: Int
    private var lines: [Tenant.ID: Line] = [:]
    private var waiting: Set<Ticket> = []
    /// The tenants with a line, the next one first.
    private var turns = Deque<Tenant.ID>()
    private var memory: FairShare<Tenant.ID>
    private var lastTicket: Ticket = 0

    init(limits: StreamLimits) {
        self.limits = limits
        self.free = limits.reads
        self.memory = FairShare(bound: limits.pagesBytes)
    }

    /// The memory held for all tenants.
    var bytes: Int { memory.total }

    func hasRoom(_ tenant: Tenant.ID) -> Bool { memory.room(for: tenant) > 0 }

    mutating func ticket() -> Ticket {
        lastTicket += 1
        return lastTicket
    }

    mutating func enter(_ ticket: Ticket, _ tenant: Tenant.ID) {
        if lines[tenant] == nil { turns.append(tenant) }
        lines[tenant, default: Line()].tickets.append(ticket)
        lines[tenant]?.waiting += 1
        waiting.insert(ticket)
    }

    /// Removes a waiting ticket; does nothing if it has been served.
    mutating func giveUp(_ ticket: Ticket, _ tenant: Tenant.ID) {
        guard waiting.remove(ticket) != nil, var line = lines.removeValue(forKey: tenant) else { return }
        line.waiting -= 1
        if line.tickets.count > 2 * line.waiting + 16 { line.tickets.removeAll { !waiting.contains($0) } }
        if line.waiting > 0 { lines[tenant] = line } else { turns.removeAll { $0 == tenant } }
    }

    /// Serves the next tickets, as far as reads are free.
    mutating func serve() -> [Pass] {
        var passes: [Pass] = []
        var passedOver = 0
        while free > 0, passedOver < turns.count, let tenant = turns.popFirst() {
            guard hasRoom(tenant) else {
                turns.append(tenant)
                passedOver += 1
                continue
            }
            guard let ticket = nextTicket(of: tenant) else { continue }
            if lines[tenant] != nil { turns.append(tenant) }
            passedOver = 0
            let size = memory.isSmall(tenant) ? limits.page : limits.smallWindow
            let pass = Pass(ticket: ticket, tenant: tenant, size: size, bytes: min(size.bytes, limits.pagesBytes))
            memory.hold(pass.bytes, of: tenant)
            free -= 1
            passes.append(pass)
        }
        return passes
    }

    mutating func leave(_ pass: Pass, keeping bytes: Int) {
        free += 1
        memory.give(pass.tenant, pass.bytes)
        memory.hold(bytes, of: pass.tenant)
    }

    mutating func hold(_ bytes: Int, of tenant: Tenant.ID) { memory.hold(bytes, of: tenant) }

    mutating func giveBack(_ bytes: Int, of tenant: Tenant.ID) { memory.give(tenant, bytes) }

    private mutating func nextTicket(of tenant: Tenant.ID) -> Ticket? {
        guard var line = lines.removeValue(forKey: tenant) else { return nil }
        while let ticket = line.tickets.popFirst() {
            guard waiting.remove(ticket) != nil else { continue }
            line.waiting -= 1
            if line.waiting > 0 { lines[tenant] = line }
            return ticket
        }
        return nil
    }
}
