import Testing

@testable import ChatCore

/// Who is spared an engine that fails, and who is not.
struct EngineHealthTests {
    private static let (one, two, three, four) = (Tenant.ID(1), Tenant.ID(2), Tenant.ID(3), Tenant.ID(4))

    /// Expectations cannot call what is mutating.
    private final class Health {
        private var state: EngineHealth

        init(_ change: (inout EngineSearchLimits) -> Void = { _ in }) {
            var limits = EngineSearchLimits()
            change(&limits)
            state = EngineHealth(limits)
        }

        func mayTry(_ tenant: Tenant.ID, at time: Duration) -> Bool { state.mayTry(tenant, at: time) }
        func succeed(_ tenant: Tenant.ID) { state.succeed(tenant) }
        func fail(at time: Duration) -> Bool { state.fail(at: time) }
        func beLate(_ tenant: Tenant.ID, at time: Duration) -> Bool { state.beLate(tenant, at: time) }
    }

    @Test func anEngineThatFailsRestsForAll() {
        let health = Health()
        #expect(health.fail(at: .zero))
        for tenant in [Self.one, Self.two] {
            #expect(!health.mayTry(tenant, at: .milliseconds(499)))
        }
        // One tries, and the others wait for what it finds.
        let tries = [Self.one, Self.two].map { health.mayTry($0, at: .seconds(1)) }
        #expect(tries == [true, false])
        #expect(!health.fail(at: .seconds(1)))
        health.succeed(Self.one)
        #expect(health.mayTry(Self.two, at: .seconds(1)))
    }

    @Test func anEngineThatIsLateRestsForThatTenantAlone() {
        let health = Health()
        #expect(!health.beLate(Self.one, at: .zero))
        for time in [Duration.zero, .milliseconds(499)] {
            let mayTry = [Self.one, Self.two].map { health.mayTry($0, at: time) }
            #expect(mayTry == [false, true])
        }
        // The other's answers do not end it; its own does.
        health.succeed(Self.two)
        #expect(!health.mayTry(Self.one, at: .milliseconds(499)))
        let tries = (0..<2).map { _ in health.mayTry(Self.one, at: .seconds(1)) }
        #expect(tries == [true, false])
        health.succeed(Self.one)
        #expect(health.mayTry(Self.one, at: .seconds(1)))
    }

    /// However often one tenant is late, and whoever else was before an answer.
    @Test func onlySeveralTenantsInARowAreTheEngine() {
        let health = Health()
        for second in 0..<100 {
            #expect(!health.beLate(Self.one, at: .seconds(second)))
            #expect(!health.beLate(Self.two, at: .seconds(second)))
        }
        health.succeed(Self.four)
        #expect(!health.beLate(Self.two, at: .seconds(100)))
        #expect(!health.beLate(Self.one, at: .seconds(100)))
        #expect(health.mayTry(Self.four, at: .seconds(100)))
        #expect(health.beLate(Self.three, at: .seconds(100)))
        #expect(!health.mayTry(Self.four, at: .seconds(100)))
    }

    /// Nor does one that tries the engine after its rest keep the trial from others, while it rests itself.
    @Test func aTenantThatRestsDoesNotTryForOthers() {
        let health = Health { $0.firstRest = .seconds(8) }
        _ = health.beLate(Self.one, at: .seconds(9))
        _ = health.fail(at: .zero)
        let tries = [Self.one, Self.two].map { health.mayTry($0, at: .seconds(10)) }
        #expect(tries == [false, true])
    }

    @Test func restsAreBounded() {
        let health = Health { ($0.lateTenants, $0.restingTenants) = (.max, 5) }
        for tenant in 1...5 as ClosedRange<Int64> { #expect(!health.beLate(Tenant.ID(tenant), at: .zero)) }
        #expect(health.beLate(Tenant.ID(6), at: .zero))
        health.succeed(Tenant.ID(1))
        // Those that are over make room.
        #expect(!health.beLate(Tenant.ID(7), at: .seconds(60)))
    }
}
