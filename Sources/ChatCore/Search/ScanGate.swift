import Synchronization

/// Limits concurrent searches; tenants take turns.
///
/// A tenant with many searches delays only its own: after a turn it comes after the others, and no tenant takes the
/// last free place of several. The queue is bounded. When it is full, a search of the tenant with the most waiting
/// searches is dropped for one of a tenant with fewer.
package final class ScanGate: Sendable {
    private typealias Waiter = CheckedContinuation<ScanLine.Outcome, Never>

    private struct State {
        var line: ScanLine
        var waiters: [ScanLine.Ticket: Waiter] = [:]
    }

    private let state: Mutex<State>
    private let patience: Duration
    private let time: Timekeeper

    /// - Parameters:
    ///   - places: the most searches that run at a time.
    ///   - bound: the most searches that wait, of all tenants.
    ///   - patience: how long each one waits.
    init(places: Int, bound: Int = 64, patience: Duration = SearchWalk.deadline, time: Timekeeper = .continuous) {
        self.state = Mutex(State(line: ScanLine(places: places, bound: bound)))
        self.patience = patience
        self.time = time
    }

    /// Searches that wait.
    package var waiting: Int { state.withLock(\.line.waiting) }

    /// Waits for a turn of the tenant, and runs `body`.
    ///
    /// - Throws: `ChatError.overloaded` if the queue is full or the turn did not come in time; `CancellationError`; the
    ///   error of `body`.
    package func pass<Result>(_ tenant: Tenant.ID, _ body: () async throws -> Result) async throws -> Result {
        let ticket = state.withLock { $0.line.ticket() }
        switch await enter(ticket, tenant) {
        case .goes: break
        case .refused: throw ChatError.overloaded
        case .cancelled: throw CancellationError()
        }
        defer { act { $0.leave(ticket) } }
        return try await body()
    }

    private func enter(_ ticket: ScanLine.Ticket, _ tenant: Tenant.ID) async -> ScanLine.Outcome {
        let timer = Task { [time, patience] in
            try await time.sleep(time.now() + patience)
            act { $0.give(up: ticket, .refused) }
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                act(keeping: waiter, of: ticket) {
                    Task.isCancelled ? [(ticket, .cancelled)] : $0.enter(ticket, tenant)
                }
            }
        } onCancel: {
            act { $0.give(up: ticket, .cancelled) }
        }
    }

    /// Changes the state, and resumes the affected searches.
    private func act(
        keeping waiter: Waiter? = nil, of ticket: ScanLine.Ticket = 0,
        _ decide: (inout ScanLine) -> [ScanLine.Decision]
    ) {
        let told = state.withLock { state in
            if let waiter { state.waiters[ticket] = waiter }
            return decide(&state.line).map { (state.waiters.removeValue(forKey: $0.ticket), $0.outcome) }
        }
        for (waiter, outcome) in told { waiter?.resume(returning: outcome) }
    }
}

/// The state machine of the gate, without tasks or a clock.
///
/// The tenant whose last turn is longest ago goes first, with its oldest search.
struct ScanLine {
    typealias Ticket = UInt64
    typealias Decision = (ticket: Ticket, outcome: Outcome)

    enum Outcome: Equatable { case goes, refused, cancelled }

    private struct Search {
        let ticket: Ticket
        let tenant: Tenant.ID
    }

    private let places: Int
    private let bound: Int
    private var running: [Search] = []
    private var line: [Search] = []
    private var lastTicket: Ticket = 0
    private var turn: UInt64 = 0
    /// When tenants were served last; some of them no longer wait.
    private var lastTurns: [Tenant.ID: UInt64] = [:]

    init(places: Int, bound: Int) {
        self.places = places
        self.bound = bound
    }

    var waiting: Int { line.count }
    /// The most places for one tenant.
    private var share: Int { max(1, places - 1) }

    mutating func ticket() -> Ticket {
        lastTicket += 1
        return lastTicket
    }

    mutating func enter(_ ticket: Ticket, _ tenant: Tenant.ID) -> [Decision] {
        line.append(Search(ticket: ticket, tenant: tenant))
        var decisions = serve()
        if line.count > bound {
            let counts = Dictionary(line.map { ($0.tenant, 1) }, uniquingKeysWith: +)
            let most = counts.values.max()
            if let newest = line.lastIndex(where: { counts[$0.tenant] == most }) {
                decisions.append((line.remove(at: newest).ticket, .refused))
            }
        }
        return decisions
    }

    /// Removes a waiting search; does nothing if it no longer waits.
    mutating func give(up ticket: Ticket, _ outcome: Outcome) -> [Decision] {
        guard let index = line.firstIndex(where: { $0.ticket == ticket }) else { return [] }
        line.remove(at: index)
        return [(ticket, outcome)]
    }

    /// A search that ran has ended.
    mutating func leave(_ ticket: Ticket) -> [Decision] {
        running.removeAll { $0.ticket == ticket }
        forgetSome()
        return serve()
    }

    private mutating func serve() -> [Decision] {
        var decisions: [Decision] = []
        while running.count < places {
            let mayGo = line.indices.filter { index in
                running.count { $0.tenant == line[index].tenant } < share
            }
            guard let next = mayGo.min(by: { lastTurn(of: line[$0].tenant) < lastTurn(of: line[$1].tenant) }) else {
                break
            }
            let search = line.remove(at: next)
            turn += 1
            lastTurns[search.tenant] = turn
            running.append(search)
            decisions.append((search.ticket, .goes))
        }
        return decisions
    }
    private func lastTurn(of tenant: Tenant.ID) -> UInt64 { lastTurns[tenant] ?? 0 }

    /// A forgotten tenant counts as never served.
    private mutating func forgetSome() {
        guard lastTurns.count > 16 * bound else { return }
        let present = Set((running + line).map(\.tenant))
        lastTurns = lastTurns.filter { present.contains($0.key) }
    }
}
