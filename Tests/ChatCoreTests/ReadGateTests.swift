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

/// Reads for readers: a few at a time, by turns of the tenants, with a share of the memory for each.
@Suite(.timeLimit(.minutes(1))) struct ReadGateTests {
    private let one = Tenant.ID(1)
    private let two = Tenant.ID(2)
    private let three = Tenant.ID(3)

    private func limits(reads: Int, bytes: Int = 1 << 20) -> StreamLimits {
        var limits = StreamLimits()
        limits.reads = reads
        limits.pagesBytes = bytes
        limits.page = .init(messages: 100, bytes: 100)
        limits.smallWindow = .init(messages: 10, bytes: 10)
        return limits
    }

    private func enter(_ line: inout ReadLine, _ tenants: [Tenant.ID]) -> [ReadLine.Ticket] {
        tenants.map { tenant in
            let ticket = line.ticket()
            line.enter(ticket, tenant)
            return ticket
        }
    }

    @Test func letsAFewThroughAtATime() async throws {
        let gate = ReadGate(limits: limits(reads: 3))
        let inside = Inside()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    guard let pass = await gate.enter(Tenant.ID(Int64(number % 5))) else { return }
                    inside.come()
                    for _ in 0..<5 { await Task.yield() }
                    inside.go()
                    gate.leave(pass)
                }
            }
        }
        let (now, most, all) = inside.seen
        #expect(now == 0 && most <= 3 && all == 200)
    }

    @Test func whoIsCancelledTakesNoPlace() async throws {
        let gate = ReadGate(limits: limits(reads: 1))
        let first = try #require(await gate.enter(one))
        let impatient = Task { await gate.enter(one) }
        let patient = Task { await gate.enter(one) }
        impatient.cancel()
        #expect(await impatient.value?.ticket == nil)
        gate.leave(first)
        gate.leave(try #require(await patient.value))
        #expect(await gate.enter(one)?.ticket != nil)
    }

    @Test func closedItLetsNobodyIn() async throws {
        let gate = ReadGate(limits: limits(reads: 1))
        let first = try #require(await gate.enter(one))
        let waiting = (0..<5).map { _ in Task { await gate.enter(one) } }
        gate.close()
        for task in waiting { #expect(await task.value?.ticket == nil) }
        gate.leave(first)
        #expect(await gate.enter(one)?.ticket == nil)
    }

    /// However many reads of one tenant wait, another tenant's first read is next.
    @Test func tenantsTakeTurns() {
        var line = ReadLine(limits: limits(reads: 1))
        let tickets = enter(&line, [one, one, one, one, two, three, two])
        var served: [ReadLine.Ticket] = []
        while let pass = line.serve().first {
            served.append(pass.ticket)
            line.leave(pass, keeping: 0)
        }
        #expect(served == [0, 4, 5, 1, 6, 2, 3].map { tickets[$0] })
    }

    /// Memory that a tenant's slow readers hold makes that tenant's pages small, then makes it wait, and costs the
    /// others nothing.
    @Test func aTenantHasAShareOfTheMemory() throws {
        var line = ReadLine(limits: limits(reads: 4, bytes: 3200))
        func read(_ tenant: Tenant.ID, keeping bytes: Int) -> Int? {
            _ = enter(&line, [tenant])
            guard let pass = line.serve().first else { return nil }
            line.leave(pass, keeping: bytes)
            return pass.size.bytes
        }
        #expect(read(one, keeping: 100) == 100)
        #expect(read(one, keeping: 100) == 100)
        #expect(read(one, keeping: 1300) == 10)
        #expect(read(one, keeping: 200) == 10)
        #expect(!line.hasRoom(one) && line.hasRoom(two))
        #expect(read(one, keeping: 0) == nil)
        #expect(read(two, keeping: 50) == 100)
        #expect(line.serve().isEmpty)
        line.giveBack(400, of: one)
        #expect(line.serve().map(\.tenant) == [one])
        #expect(line.bytes == 1350 + 10)
    }

    /// Under any sequence of events every waiting reader is served, none twice, and all memory is returned.
    @Test(arguments: 0..<20 as Range<UInt64>) func allAreServed(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var line = ReadLine(limits: limits(reads: 2, bytes: 300))
        var waiting: [ReadLine.Ticket: Tenant.ID] = [:]
        var running: [ReadLine.Pass] = []
        var held: [(Tenant.ID, Int)] = []
        func serve() {
            for pass in line.serve() {
                #expect(waiting.removeValue(forKey: pass.ticket) == pass.tenant)
                running.append(pass)
            }
            #expect(running.count <= 2)
        }
        for _ in 0..<2000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                let (ticket, tenant) = (line.ticket(), Tenant.ID(Int64.random(in: 1...4, using: &random)))
                line.enter(ticket, tenant)
                waiting[ticket] = tenant
            case 2:
                guard let (ticket, tenant) = waiting.sorted(by: { $0.key < $1.key }).randomElement(using: &random)
                else { continue }
                waiting[ticket] = nil
                line.giveUp(ticket, tenant)
                line.giveUp(ticket, tenant)
            case 3, 4:
                guard let index = running.indices.randomElement(using: &random) else { continue }
                let bytes = Int.random(in: 0...20, using: &random)
                let pass = running.remove(at: index)
                line.leave(pass, keeping: bytes)
                held.append((pass.tenant, bytes))
            default:
                guard let index = held.indices.randomElement(using: &random) else { continue }
                let (tenant, bytes) = held.remove(at: index)
                line.giveBack(bytes, of: tenant)
            }
            serve()
        }
        for (tenant, bytes) in held { line.giveBack(bytes, of: tenant) }
        serve()
        while let pass = running.popLast() {
            line.leave(pass, keeping: 0)
            serve()
        }
        #expect(waiting.isEmpty && running.isEmpty && line.bytes == 0)
    }
}
