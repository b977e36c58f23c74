import Synchronization
import TestSupport
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(1))) struct ScanGateTests {
    private static let (busy, quiet, third) = (Tenant.ID(1), Tenant.ID(2), Tenant.ID(3))

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
            note(line.enter(ticket, tenant))
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
        #expect(line.enter(running, Self.busy).map(\.outcome) == [.goes])
        let waiting = (0..<3).map { _ in line.ticket() }
        for ticket in waiting { #expect(line.enter(ticket, Self.quiet).isEmpty) }
        for ticket in waiting {
            let again = line.ticket()
            #expect(line.enter(again, Self.busy).isEmpty)
            #expect(line.leave(running).map(\.ticket) == [ticket])
            #expect(line.leave(ticket).map(\.ticket) == [again])
            running = again
        }
    }

    @Test func noTenantHasAllPlaces() {
        var line = ScanLine(places: 3, bound: 64)
        func enter(_ tenant: Tenant.ID) -> [ScanLine.Outcome] { line.enter(line.ticket(), tenant).map(\.outcome) }
        #expect(enter(Self.busy) == [.goes])
        #expect(enter(Self.busy) == [.goes])
        #expect(enter(Self.busy) == [])
        #expect(enter(Self.quiet) == [.goes])
        #expect(enter(Self.third) == [])
    }

    @Test func whoHasTheMostGivesWay() {
        var line = ScanLine(places: 1, bound: 3)
        let first = (0..<4).map { _ in line.ticket() }
        for ticket in first { _ = line.enter(ticket, Self.busy) }
        let refused = line.ticket()
        #expect(line.enter(refused, Self.busy).map(\.ticket) == [refused])
        let served = line.ticket()
        let decisions = line.enter(served, Self.quiet)
        #expect(decisions.map(\.ticket) == [first[3]] && decisions.map(\.outcome) == [.refused])
        #expect(line.waiting == 3)
        #expect(line.leave(first[0]).map(\.ticket) == [served])
    }

    @Test func whoIsCancelledWaitsNoMore() async throws {
        let gate = ScanGate(places: 1)
        try await gate.pass(Self.busy) {
            let waiting = (0..<5).map { _ in Task { try await gate.pass(Self.busy) {} } }
            try await eventually("they wait") { gate.waiting == 5 }
            for task in waiting { task.cancel() }
            for task in waiting { await #expect(throws: CancellationError.self) { try await task.value } }
            #expect(gate.waiting == 0)
        }
        #expect(try await gate.pass(Self.quiet) { 7 } == 7)
    }

    @Test func nobodyWaitsForEver() async throws {
        let gate = ScanGate(places: 1, patience: .milliseconds(20))
        _ = try await gate.pass(Self.busy) {
            await #expect(throws: ChatError.overloaded) { try await gate.pass(Self.quiet) {} }
        }
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
