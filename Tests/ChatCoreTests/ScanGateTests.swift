import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(1))) struct ScanGateTests {
    private static let (busy, quiet, third) = (Tenant.ID(1), Tenant.ID(2), Tenant.ID(3))
    private static let (here, there) = (client("10.0.0.1"), client("10.0.0.2"))

    private static func client(_ address: String) -> IPAddress {
        IPAddress(try? SocketAddress(ipAddress: address, port: 1))
    }

    /// Enters searches of these tenants, and returns whose are let through as each one that runs ends.
    private func order(_ tenants: [Tenant.ID], places: Int = 1, bound: Int = 64) -> [Tenant.ID] {
        var line = ScanLine(places: places, bound: bound)
        var tickets: [ScanLine.Ticket: Tenant.ID] = [:]
        var going: [ScanLine.Ticket] = []
        var order: [Tenant.ID] = []
        func note(_ decisions: [ScanLine.Decision]) {
            for decision in decisions where decision.outcome == .goes {
                going.append(decision.ticket)
                order.append(tickets[decision.ticket]!)
            }
        }
        for tenant in tenants {
            let ticket = line.ticket()
            tickets[ticket] = tenant
            note(line.enter(ticket, tenant, Self.here))
        }
        while !going.isEmpty { note(line.leave(going.removeFirst())) }
        return order
    }

    @Test func tenantsTakeTurns() {
        let (a, b, c) = (Self.busy, Self.quiet, Self.third)
        #expect(order([a, a, a, a, b, c, b]) == [a, b, c, a, b, a, a])
    }

    /// A tenant that asks again as soon as it was served is not served before those that wait.
    @Test func whoComesAgainComesLast() {
        var line = ScanLine(places: 1, bound: 64)
        var running = line.ticket()
        #expect(line.enter(running, Self.busy, Self.here).map(\.outcome) == [.goes])
        let waiting = (0..<3).map { _ in line.ticket() }
        for ticket in waiting { #expect(line.enter(ticket, Self.quiet, Self.here).isEmpty) }
        for ticket in waiting {
            let again = line.ticket()
            #expect(line.enter(again, Self.busy, Self.here).isEmpty)
            #expect(line.leave(running).map(\.ticket) == [ticket])
            #expect(line.leave(ticket).map(\.ticket) == [again])
            running = again
        }
    }

    @Test func noTenantHasAllPlaces() {
        var line = ScanLine(places: 3, bound: 64)
        func enter(_ tenant: Tenant.ID) -> [ScanLine.Outcome] {
            line.enter(line.ticket(), tenant, Self.here).map(\.outcome)
        }
        #expect(enter(Self.busy) == [.goes])
        #expect(enter(Self.busy) == [.goes])
        #expect(enter(Self.busy) == [])
        #expect(enter(Self.quiet) == [.goes])
        #expect(enter(Self.third) == [])
    }

    @Test func whoHasTheMostGivesWay() {
        var line = ScanLine(places: 1, bound: 3)
        let first = (0..<4).map { _ in line.ticket() }
        for ticket in first { _ = line.enter(ticket, Self.busy, Self.here) }
        let refused = line.ticket()
        #expect(line.enter(refused, Self.busy, Self.here).map(\.ticket) == [refused])
        let served = line.ticket()
        let decisions = line.enter(served, Self.quiet, Self.here)
        #expect(decisions.map(\.ticket) == [first[3]] && decisions.map(\.outcome) == [.refused])
        #expect(line.waiting == 3)
        #expect(line.leave(first[0]).map(\.ticket) == [served])
    }

    @Test func whoIsCancelledWaitsNoMore() async throws {
        let gate = ScanGate(places: 1)
        try await gate.pass(Self.busy, from: Self.here) {
            let waiting = (0..<5).map { _ in Task { try await gate.pass(Self.busy, from: Self.here) {} } }
            try await eventually("they wait") { gate.waiting == 5 }
            for task in waiting { task.cancel() }
            for task in waiting { await #expect(throws: CancellationError.self) { try await task.value } }
            #expect(gate.waiting == 0)
        }
        #expect(try await gate.pass(Self.quiet, from: Self.here) { 7 } == 7)
    }

    @Test func nobodyWaitsForEver() async throws {
        let gate = ScanGate(places: 1, patience: .milliseconds(20))
        _ = try await gate.pass(Self.busy, from: Self.here) {
            await #expect(throws: ChatError.overloaded) { try await gate.pass(Self.quiet, from: Self.here) {} }
        }
    }

    /// In each of three rounds many searches fill the line, one of another owner comes, and two are served.
    ///
    /// - Returns: whether the one is refused, and how many turns it gets.
    private func rounds(
        _ many: (UInt64) -> (Tenant.ID, IPAddress), beside one: (Tenant.ID, IPAddress)
    ) -> [(isRefused: Bool, turns: Int)] {
        var line = ScanLine(places: 1, bound: 4)
        var running = line.ticket()
        var mine: Set<ScanLine.Ticket> = []
        _ = line.enter(running, many(0).0, many(0).1)
        return (0..<3).map { round in
            for index in 1...5 as ClosedRange<UInt64> {
                let (tenant, client) = many(UInt64(round) * 5 + index)
                _ = line.enter(line.ticket(), tenant, client)
            }
            let ticket = line.ticket()
            mine.insert(ticket)
            let isRefused = line.enter(ticket, one.0, one.1).contains { $0.ticket == ticket }
            let served = (0..<2).map { _ in
                running = line.leave(running).first?.ticket ?? 0
                return running
            }
            return (isRefused, served.count { mine.contains($0) })
        }
    }

    @Test func aTenantWithManyAddressesIsServedLikeOthers() {
        let found = rounds(
            { (Self.busy, Self.client("10.1.0.\($0)")) }, beside: (Self.quiet, Self.here))
        #expect(found.allSatisfy { !$0.isRefused && $0.turns == 1 }, "\(found)")
    }

    /// Anyone can make applications.
    @Test func anAddressWithManyTenantsIsServedLikeOthers() {
        let found = rounds({ (Tenant.ID(Int64($0) + 10), Self.there) }, beside: (Self.quiet, Self.here))
        #expect(found.allSatisfy { !$0.isRefused && $0.turns == 1 }, "\(found)")
    }

    @Test func aTenantThatRestsIsPassedOver() {
        var line = ScanLine(places: 2, bound: 64)
        func enter(_ tenant: Tenant.ID) -> (ticket: ScanLine.Ticket, goes: Bool) {
            let ticket = line.ticket()
            return (
                ticket, line.enter(ticket, tenant, Self.here).contains { $0.ticket == ticket && $0.outcome == .goes }
            )
        }
        let first = enter(Self.busy)
        #expect(first.goes)
        #expect(line.leave(first.ticket, rests: true).isEmpty)
        let second = enter(Self.busy)
        #expect(!second.goes)
        #expect(enter(Self.quiet).goes && enter(Self.third).goes)
        #expect(line.wake(Self.busy).isEmpty)
        let other = enter(Self.quiet)
        #expect(!other.goes && line.waiting == 2)
    }

    /// While messages are written, a tenant's next turn comes after three times what its last one took; others' come at once.
    @Test func searchesRestBesideWrites() async throws {
        let clock = TestClock()
        let isWriting = Mutex(true)
        let gate = ScanGate(
            executors: [globalConcurrentExecutor, globalConcurrentExecutor], patience: .seconds(60),
            time: Timekeeper(clock)
        ) { isWriting.withLock(\.self) }
        try await gate.pass(Self.busy, from: Self.here) { clock.advance(by: .milliseconds(100)) }
        let waiting = Task { try await gate.pass(Self.busy, from: Self.here) {} }
        try await eventually("it waits") { gate.waiting == 1 }
        try await gate.pass(Self.quiet, from: Self.here) {}
        clock.advance(by: .milliseconds(299))
        #expect(gate.waiting == 1)
        isWriting.withLock { $0 = false }
        try await eventually("the rest is over") {
            clock.advance(by: .milliseconds(1))
            return gate.waiting == 0
        }
        try await waiting.value
        // Without writes there is no rest.
        for _ in 0..<3 {
            try await gate.pass(Self.busy, from: Self.here) { clock.advance(by: .milliseconds(100)) }
        }
        // Ends the tasks that were to refuse these searches.
        clock.advance(by: .seconds(600))
    }

    /// How often a search checks for a departed client depends on the bytes searched: a few long messages count as much
    /// as many short ones.
    @Test func aWalkEndsWithinAFewLongMessages() async throws {
        let seen = Mutex(0)
        let walk = Task {
            let long = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
            var walk = try SearchWalk(SearchQuery(SearchText("needle")), limit: 1, until: .now + .seconds(60))
            withUnsafeCurrentTask { $0?.cancel() }
            for _ in 0..<1000 {
                _ = try long.withUnsafeBytes { try walk.see($0) { fatalError("nothing matches") } }
                seen.withLock { $0 += 1 }
            }
        }
        await #expect(throws: CancellationError.self) { try await walk.value }
        #expect(seen.withLock(\.self) < 5)
    }
}

extension ScanGate {
    fileprivate convenience init(places: Int, patience: Duration = .seconds(60)) {
        self.init(executors: Array(repeating: globalConcurrentExecutor, count: places), patience: patience)
    }
}
