import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Limits of principals and addresses, by a clock that the test moves.
@Suite struct LimiterTests {
    private let clock = TestClock()
    private let tenant = Tenant.ID(7)
    private let token = Principal.pathToken(.random())
    private let key = Principal.applicationKey(.random())
    private let admin = Principal.admin(.random())

    private func limiter(_ defaults: LimitDefaults, _ shared: (any SharedRateBuckets)? = nil) -> Limiter {
        Limiter(defaults, shared: shared, time: Timekeeper(clock))
    }

    private func limits(_ change: (inout TenantLimits) -> Void) -> TenantLimits {
        var limits = TenantLimits()
        change(&limits)
        return limits
    }

    /// Of a limit's units, those that are given at once.
    private func drain(_ limiter: Limiter, _ charges: [RateCharge<String>], most: Int = 10_000) async throws -> Int {
        for count in 0..<most {
            do {
                _ = try await limiter.take(charges)
            } catch .quotaExceeded {
                return count
            }
        }
        return most
    }

    @Test func nothingIsAskedWhereNothingIsLimited() throws {
        let limiter = limiter(.standard)
        for action in LimitedAction.allCases {
            for principal in [token, key, admin] {
                #expect(limiter.charges(principal, in: tenant, nil, action).isEmpty)
            }
        }
        #expect(try limiter.openStream(token, in: tenant, nil) == nil)
    }

    /// The application's own limits come before the server's. The server's own key has none.
    @Test func anApplicationHasItsOwn() async throws {
        var defaults = LimitDefaults()
        defaults.limits.application[.create] = Allowance(.application, .create, perMinute: 60, burst: 3)
        let limiter = limiter(defaults)
        let rules = TenantRules(
            limits: limits { $0.application[.create] = Allowance(.application, .create, perMinute: 60, burst: 5) })
        #expect(try await drain(limiter, limiter.charges(token, in: tenant, nil, .create)) == 3)
        // The key has the same bucket.
        #expect(try await drain(limiter, limiter.charges(key, in: tenant, nil, .create)) == 0)
        #expect(try await drain(limiter, limiter.charges(key, in: Tenant.ID(8), rules, .create)) == 5)
        #expect(limiter.charges(key, in: tenant, nil, .read).isEmpty)
        #expect(limiter.charges(admin, in: tenant, rules, .create).isEmpty)
        clock.advance(by: .seconds(2))
        #expect(try await drain(limiter, limiter.charges(token, in: tenant, nil, .create)) == 2)
    }

    /// A user pays from its own bucket and from its application's: from both, or from none.
    @Test func usersHaveTheDefaults() async throws {
        let limiter = limiter(.standard)
        let users = try ["a", "b"].map { Principal.user(tenant, try #require(User.ID($0))) }
        let rules = TenantRules(
            limits: limits { $0.application[.create] = Allowance(.application, .create, perMinute: 60, burst: 100) })
        let charges = users.map { limiter.charges($0, in: tenant, rules, .create) }
        #expect(charges[0].map(\.limit.name) == ["user-create", "application-create"])
        #expect(try await drain(limiter, charges[0]) == 60)
        #expect(try await drain(limiter, charges[1]) == 40)
        #expect(try await drain(limiter, limiter.charges(key, in: tenant, rules, .create)) == 0)
        // 120 a minute, and of the application 60.
        clock.advance(by: .seconds(10))
        #expect(try await drain(limiter, charges[0]) == 10)
        #expect(limiter.charges(users[0], in: tenant, nil, .read).map(\.limit.units) == [1200])
        // The same name in another application is another user.
        let stranger = try Principal.user(Tenant.ID(8), #require(User.ID("a")))
        #expect(try await drain(limiter, limiter.charges(stranger, in: Tenant.ID(8), nil, .create)) == 60)
    }

    @Test func unitsAreGivenBack() async throws {
        var defaults = LimitDefaults()
        defaults.limits.application[.create] = Allowance(.application, .create, perMinute: 1, burst: 2)
        let limiter = limiter(defaults)
        let charges = limiter.charges(token, in: tenant, nil, .create)
        for _ in 0..<10 { try await limiter.take(charges).giveBack(paying: []) }
        #expect(try await drain(limiter, charges) == 2)
    }

    @Test func streamsThatAreOpenAreCounted() throws {
        let rules = TenantRules(
            limits: limits {
                $0.application[.stream] = Allowance(.application, .stream, perMinute: 60, concurrent: 2)
            })
        let limiter = limiter(LimitDefaults())
        var open = try [limiter.openStream(token, in: tenant, rules), limiter.openStream(key, in: tenant, rules)]
        do {
            _ = try limiter.openStream(key, in: tenant, rules)
            Issue.record("a third is open")
        } catch {
            guard case .quotaExceeded(let quota) = error else { throw error }
            #expect(quota.policies == ["application-stream"])
        }
        #expect(try limiter.openStream(key, in: Tenant.ID(8), rules) != nil)
        open.removeLast()
        #expect(try limiter.openStream(key, in: tenant, rules) != nil)
        open = []
        #expect(limiter.slots.owners == 0)
    }

    // MARK: Addresses

    @Test func anAddressThatFailsOftenIsRefused() async throws {
        let limiter = limiter(.standard)
        let address = try #require(IPAddress("2001:db8::1"))
        for _ in 1...30 {
            try limiter.checkFailures(from: address)
            #expect(await limiter.noteFailure(.unauthorized(.invalid), from: address) == .unauthorized(.invalid))
        }
        try limiter.checkFailures(from: address)
        guard case .quotaExceeded(let quota) = await limiter.noteFailure(.unauthorized(.revoked), from: address) else {
            Issue.record("it is not refused")
            return
        }
        #expect(quota.policies == ["auth"] && quota.wait == 2_000_000 && quota.decision == nil)
        // All of its network, and nobody else.
        #expect(throws: ChatError.self) { try limiter.checkFailures(from: #require(IPAddress("2001:db8::2"))) }
        try limiter.checkFailures(from: #require(IPAddress("2001:db8:0:1::1")))
        clock.advance(by: .milliseconds(1999))
        #expect(throws: ChatError.self) { try limiter.checkFailures(from: address) }
        clock.advance(by: .milliseconds(1))
        try limiter.checkFailures(from: address)
        #expect(await limiter.noteFailure(.unauthorized(.invalid), from: address) == .unauthorized(.invalid))
        #expect(await limiter.noteFailure(.unauthorized(.invalid), from: address) != .unauthorized(.invalid))
    }

    /// Nothing shown, or something that has expired, is no guess.
    @Test func otherRefusalsAreNotCounted() async throws {
        let limiter = limiter(.standard)
        for error in [ChatError.unauthorized(.required), .unauthorized(.expired), .notFound, .notAllowed] {
            for _ in 1...40 { #expect(await limiter.noteFailure(error, from: .unspecified) == error) }
        }
        try limiter.checkFailures(from: .unspecified)
    }

    /// Far more addresses than are kept: each that has used up its guesses stays refused, and some of their neighbours are.
    @Test(
        arguments: [
            // Networks of 64 bits, each in another of 48 and 32; addresses of IPv4 side by side, and far apart.
            { UInt128($0) << 100 | 1 << 127 }, { IPAddress.mapped | UInt128($0) },
            { IPAddress.mapped | UInt128(UInt32(truncatingIfNeeded: $0 &* 2_654_435_761)) },
        ] as [@Sendable (Int) -> UInt128])
    func refusedAddressesAreBoundedAndStayRefused(_ bits: @Sendable (Int) -> UInt128) async throws {
        var defaults = LimitDefaults()
        defaults.failures = LimitDefaults.failures(perMinute: 1)
        let limiter = limiter(defaults)
        for number in 0..<20_000 {
            let address = IPAddress(bits: bits(number))
            guard (try? limiter.checkFailures(from: address)) != nil else { continue }
            for _ in 0..<2 { _ = await limiter.noteFailure(.unauthorized(.invalid), from: address) }
            #expect(limiter.refusedAddresses <= 16_384)
        }
        for number in 0..<20_000 {
            #expect(throws: ChatError.self) { try limiter.checkFailures(from: IPAddress(bits: bits(number))) }
        }
        // The other family is not touched.
        try limiter.checkFailures(from: #require(IPAddress(bits(0) >> 32 == 0xFFFF ? "2001:db8::1" : "192.0.2.1")))
        clock.advance(by: .seconds(61))
        try limiter.checkFailures(from: IPAddress(bits: bits(0)))
        for _ in 0..<2 { _ = await limiter.noteFailure(.unauthorized(.invalid), from: .unspecified) }
    }

    /// Whoever has a wide network of IPv6 has more of the narrow ones than there are buckets.
    @Test(arguments: [(48, 8), (32, 64)])
    func aWideNetworkHasALimitToo(_ width: Int, _ most: Int) async throws {
        var defaults = LimitDefaults()
        defaults.failures = LimitDefaults.failures(perMinute: 1)
        let limiter = limiter(defaults)
        let first = try #require(IPAddress("2001:db8::1"))
        // Each time another network of 64 bits, in another of 48 where the wider one is meant.
        func address(_ number: Int) -> IPAddress {
            IPAddress(bits: first.bits + UInt128(number) << (width == 48 ? 64 : 80))
        }
        for number in 0..<most {
            try limiter.checkFailures(from: address(number))
            #expect(
                await limiter.noteFailure(.unauthorized(.invalid), from: address(number)) == .unauthorized(.invalid))
        }
        #expect(await limiter.noteFailure(.unauthorized(.invalid), from: address(most)) != .unauthorized(.invalid))
        #expect(throws: ChatError.self) { try limiter.checkFailures(from: address(most + 1)) }
        try limiter.checkFailures(from: #require(IPAddress("2001:db9::1")))
    }

    // MARK: Several processes

    /// What Redis is to the processes of a cluster.
    private final class Shared: SharedRateBuckets {
        let buckets = Mutex(RateBuckets<String>())
        let isAway = Atomic(false)
        let processes: Int
        private let clock: TestClock

        init(processes: Int, _ clock: TestClock) {
            self.processes = processes
            self.clock = clock
        }

        private var now: Int64 { start + clock.now.offset.components.seconds * 1_000_000 }

        var isThere: Bool { true }

        func take(_ charges: [RateCharge<String>]) async -> RateDecision? {
            let now = now
            return isAway.load(ordering: .relaxed) ? nil : buckets.withLock { $0.take(charges, at: now) }
        }

        func giveBack(_ charges: [RateCharge<String>], paying others: [RateCharge<String>]) {
            let now = now
            buckets.withLock { if $0.take(others, at: now).isAllowed { $0.giveBack(charges, at: now) } }
        }

        /// Redis' clock is another one.
        private let start: Int64 = 1_800_000_000_000_000
    }

    private func creates(perMinute: Int64, burst: Int64) -> LimitDefaults {
        var defaults = LimitDefaults()
        defaults.limits.application[.create] = Allowance(
            .application, .create, perMinute: perMinute, burst: burst)
        return defaults
    }

    @Test func processesShareALimit() async throws {
        let shared = Shared(processes: 2, clock)
        let limiters = (0..<2).map { _ in limiter(creates(perMinute: 60, burst: 100), shared) }
        let charges = limiters[0].charges(token, in: tenant, nil, .create)
        #expect(try limiters[0].takeNow(charges) == nil)
        var given = 0
        for turn in 0..<300 {
            do {
                _ = try await limiters[turn % 2].take(charges)
                given += 1
            } catch {}
        }
        #expect(given == 100)
        clock.advance(by: .seconds(30))
        #expect(try await drain(limiters[1], charges) == 30)
    }

    /// Redis goes in the middle of a load: both processes together go on giving what the limit has.
    @Test func withoutTheOthersEachGivesItsShare() async throws {
        let shared = Shared(processes: 2, clock)
        let limiters = (0..<2).map { _ in limiter(creates(perMinute: 120, burst: 60), shared) }
        let charges = limiters[0].charges(token, in: tenant, nil, .create)
        var given = 0
        for second in 0..<120 {
            if second == 40 { shared.isAway.store(true, ordering: .relaxed) }
            for turn in 0..<10 {
                do {
                    _ = try await limiters[turn % 2].take(charges)
                    given += 1
                } catch {}
            }
            clock.advance(by: .seconds(1))
        }
        // A burst, and two a second.
        let exact = 60.0 + 119 * 2
        #expect(abs(Double(given) - exact) <= 0.05 * exact, "\(given) of \(exact)")
    }

    // MARK: What is set

    private func change(_ json: String) throws -> LimitsChange {
        try Array(json.utf8).withUnsafeBufferPointer { bytes in
            var reader = JSONReader(utf8: bytes)
            return try LimitsChange(&reader)
        }
    }

    @Test func aChangeIsAMergePatch() throws {
        var limits = TenantLimits()
        limits = try change(
            #"{"user":{"create":{"per_minute":60,"burst":10},"read":{"per_minute":5}},"application":{"change":{"per_minute":1}}}"#
        ).applied(to: limits)
        #expect(
            limits.text
                == #"{"application":{"change":{"per_minute":1,"burst":1}},"user":{"create":{"per_minute":60,"burst":10},"#
                + #""read":{"per_minute":5,"burst":2}}}"#)
        #expect(TenantLimits(stored: limits.text) == limits)
        limits = try change(#"{"user":{"create":null,"stream":{"concurrent":3,"per_minute":9}}}"#).applied(to: limits)
        #expect(limits.user[.create] == nil && limits.user[.read]?.perMinute == 5)
        #expect(limits.user[.stream]?.concurrent == 3)
        #expect(try change(#"{"user":null}"#).applied(to: limits).user.isEmpty)
        #expect(try change("null").applied(to: limits).isEmpty)
        #expect(try change("{}").applied(to: limits) == limits)
    }

    @Test(arguments: [
        "[]", "1", #"{"users":{}}"#, #"{"user":[]}"#, #"{"user":{"delete":null}}"#, #"{"user":{"create":5}}"#,
        #"{"user":{"create":{}}}"#, #"{"user":{"create":{"burst":5}}}"#, #"{"user":{"create":{"per_minute":0}}}"#,
        #"{"user":{"create":{"per_minute":-1}}}"#, #"{"user":{"create":{"per_minute":600001}}}"#,
        #"{"user":{"create":{"per_minute":1.5}}}"#, #"{"user":{"create":{"per_minute":"60"}}}"#,
        #"{"user":{"create":{"per_minute":99999999999999999999}}}"#,
        #"{"user":{"create":{"per_minute":60,"burst":0}}}"#, #"{"user":{"create":{"per_minute":1,"burst":1000000}}}"#,
        #"{"user":{"create":{"per_minute":60,"concurrent":5}}}"#,
        #"{"user":{"stream":{"per_minute":60,"concurrent":0}}}"#,
        #"{"user":{"create":{"per_minute":60,"bursts":5}}}"#, #"{"user":{"create":{"per_minute":60,"burst":null}}}"#,
    ])
    func mistakesAreTold(_ json: String) throws {
        let change = try change(json)
        #expect(change.errors.count == 1)
        #expect(change.applied(to: TenantLimits()).isEmpty)
    }

    @Test func mistakesAreBounded() throws {
        let many = (0..<1000).map { #""x\#($0)":{}"# }.joined(separator: ",")
        #expect(try change("{\(many)}").errors.count == 1)
    }

    @Test(arguments: [
        (#"{"application":{"create":{"per_minute":50,"burst":10}}}"#, false),
        (#"{"application":{"create":{"per_minute":51,"burst":10}}}"#, true),
        (#"{"application":{"create":{"per_minute":50,"burst":11}}}"#, true),
        (#"{"application":{"create":null}}"#, true), ("null", true),
        (#"{"application":{"read":{"per_minute":100,"burst":10}}}"#, false),
        (#"{"application":{"read":{"per_minute":101,"burst":10}}}"#, true),
        (#"{"application":{"read":null}}"#, false), (#"{"application":{"change":null}}"#, false),
        (#"{"application":{"change":{"per_minute":600000}}}"#, false),
        (#"{"application":{"stream":{"per_minute":60,"burst":30}}}"#, true),
        (#"{"application":{"stream":{"per_minute":60,"burst":30,"concurrent":4}}}"#, false),
        (#"{"user":null}"#, false),
    ])
    func whatLoosensIsTold(_ json: String, _ loosens: Bool) throws {
        let limits = limits {
            $0.application[.create] = Allowance(.application, .create, perMinute: 50, burst: 10)
            $0.application[.stream] = Allowance(.application, .stream, perMinute: 60, burst: 30, concurrent: 4)
            $0.user[.create] = Allowance(.user, .create, perMinute: 1)
        }
        var defaults = ActionLimits()
        defaults[.read] = Allowance(.application, .read, perMinute: 100, burst: 10)
        #expect(try change(json).loosens(limits, defaults: defaults) == loosens)
    }
}
