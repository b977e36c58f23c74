/// The state machine of `ScanGate`, without tasks or a clock.
///
/// The search goes first whose tenant and client were both served longest ago: neither a tenant with many clients nor a
/// client with many tenants comes before others again and again. No tenant takes the last free place of several. When
/// the queue is full, the newest search of whoever has the most waiting ones is dropped.
struct ScanLine {
    typealias Ticket = UInt64
    typealias Decision = (ticket: Ticket, outcome: Outcome)

    enum Outcome: Equatable { case goes, refused, cancelled }

    private enum Owner: Hashable {
        case tenant(Tenant.ID)
        case client(IPAddress)
    }

    private struct Search {
        let ticket: Ticket
        let tenant: Tenant.ID
        let client: IPAddress

        var owners: [Owner] { [.tenant(tenant), .client(client)] }
    }

    private let places: Int
    private let bound: Int
    private var running: [Search] = []
    private var line: [Search] = []
    private var lastTicket: Ticket = 0
    private var turn: UInt64 = 0
    /// When owners were served last; some of them no longer wait.
    private var lastTurns: [Owner: UInt64] = [:]
    /// Turns of tenants whose rest has not ended.
    private var resting: [Tenant.ID: Int] = [:]

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

    mutating func enter(_ ticket: Ticket, _ tenant: Tenant.ID, _ client: IPAddress) -> [Decision] {
        line.append(Search(ticket: ticket, tenant: tenant, client: client))
        var decisions = serve()
        if line.count > bound {
            let counts = Dictionary(line.flatMap(\.owners).map { ($0, 1) }, uniquingKeysWith: +)
            let weights = line.map { search in Rank(search.owners.map { counts[$0] ?? 0 }) }
            if let most = weights.max(), let newest = weights.lastIndex(of: most) {
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
    ///
    /// - Parameter rests: whether its tenant has no turn before `wake`, which must follow.
    mutating func leave(_ ticket: Ticket, rests: Bool = false) -> [Decision] {
        guard let index = running.firstIndex(where: { $0.ticket == ticket }) else { return [] }
        let search = running.remove(at: index)
        if rests { resting[search.tenant, default: 0] += 1 }
        forgetSome()
        return serve()
    }

    /// A rest of the tenant has ended.
    mutating func wake(_ tenant: Tenant.ID) -> [Decision] {
        if let rests = resting[tenant] { resting[tenant] = rests > 1 ? rests - 1 : nil }
        return serve()
    }

    private mutating func serve() -> [Decision] {
        var decisions: [Decision] = []
        while running.count < places {
            let mayGo = line.indices.filter { index in
                let tenant = line[index].tenant
                return running.count { $0.tenant == tenant } + (resting[tenant] ?? 0) < share
            }
            guard let next = mayGo.min(by: { rank(line[$0]) < rank(line[$1]) }) else { break }
            let search = line.remove(at: next)
            turn += 1
            for owner in search.owners { lastTurns[owner] = turn }
            running.append(search)
            decisions.append((search.ticket, .goes))
        }
        return decisions
    }

    private func rank(_ search: Search) -> Rank { Rank(search.owners.map { Int(lastTurns[$0] ?? 0) }) }

    /// Compares two owners' figures: the higher ones first, so that one of them does not make up for the other.
    private struct Rank: Comparable {
        let high: Int
        let low: Int

        init(_ figures: [Int]) { (high, low) = (figures.max() ?? 0, figures.min() ?? 0) }

        static func < (left: Rank, right: Rank) -> Bool { (left.high, left.low) < (right.high, right.low) }
    }

    /// A forgotten owner counts as never served.
    private mutating func forgetSome() {
        guard lastTurns.count > 32 * bound else { return }
        let present = Set((running + line).flatMap(\.owners))
        lastTurns = lastTurns.filter { present.contains($0.key) }
    }
}
