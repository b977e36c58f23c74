import Synchronization
import TestSupport
import Testing

@testable import ChatCore

/// Who is online, by the time of a clock.
@Suite(.timeLimit(.minutes(1))) struct PresenceTests {
    final class Stage: Sendable {
        let clock = TestClock()
        let bus = LocalBus()
        let presence: Presence
        let store: FailingStore

        init() {
            let time = Timekeeper(clock)
            let store = FailingStore(LocalPresence(time: time))
            self.store = store
            let connections = Connections()
            presence = Presence(store: store, bus: bus, time: time) { connections.users.withLock(\.self) }
            self.connections = connections
            bus.listen { [weak presence] event in if case .online(let users) = event { presence?.hear(users) } }
        }

        let connections: Connections

        final class Connections: Sendable { let users = Mutex<Set<PresentUser>>([]) }

        func open(_ user: PresentUser) {
            connections.users.withLock { _ = $0.insert(user) }
            presence.arrive(user)
        }

        func close(_ user: PresentUser) { connections.users.withLock { _ = $0.remove(user) } }

        /// Lets seconds pass.
        func pass(_ seconds: Int) async {
            for _ in 0..<seconds {
                clock.advance(by: .seconds(1))
                await presence.tick()
            }
        }

        func isOnline(_ user: PresentUser) async throws -> Bool {
            try await presence.online(among: [user]).contains(user)
        }
    }

    /// Cannot be reached while it is said so.
    final class FailingStore: PresenceStore {
        let isAway = Mutex(false)
        let renewals = Mutex<[Int]>([])
        private let store: LocalPresence

        init(_ store: LocalPresence) { self.store = store }

        private func check() throws {
            if isAway.withLock(\.self) { throw ChatError.unavailable(reason: "away") }
        }

        func renew(_ users: [PresentUser]) async throws {
            try check()
            renewals.withLock { $0.append(users.count) }
            store.renew(users)
        }

        func online(among users: [PresentUser]) async throws -> Set<PresentUser> {
            try check()
            return store.online(among: users)
        }

        func remove(_ user: PresentUser) async throws {
            try check()
            store.remove(user)
        }
    }

    private let ann = PresentUser(tenant: Tenant.ID(1), user: User.ID("ann")!)
    private let ben = PresentUser(tenant: Tenant.ID(1), user: User.ID("ben")!)

    private func taken(_ watch: PresenceWatch) -> [String] {
        watch.take {}.map { "\($0.user.text) \($0.isOnline ? "on" : "off")" }
    }

    @Test func aConnectionMakesOnline() async throws {
        let stage = Stage()
        await stage.pass(1)
        let watch = try await stage.presence.watch([ann.user, ben.user], of: ann.tenant)
        #expect(taken(watch) == ["ann off", "ben off"])
        stage.open(ann)
        await stage.pass(1)
        #expect(taken(watch) == ["ann on"])
        #expect(try await stage.isOnline(ann))
        // As long as it lasts.
        await stage.pass(300)
        #expect(try await stage.isOnline(ann))
        #expect(taken(watch) == [])
        // And a while after it, so that nobody who comes back was away.
        stage.close(ann)
        await stage.pass(30)
        stage.open(ann)
        await stage.pass(60)
        #expect(taken(watch) == [])
        stage.close(ann)
        await stage.pass(80)
        #expect(taken(watch) == ["ann off"])
        #expect(try await !stage.isOnline(ann))
    }

    /// Every renewal is one call, however many are here.
    @Test func renewalsAreBatched() async throws {
        let stage = Stage()
        await stage.pass(1)
        for count in 0..<500 { stage.open(PresentUser(tenant: Tenant.ID(1), user: User.ID("u\(count)")!)) }
        await stage.pass(60)
        let renewals = stage.store.renewals.withLock(\.self)
        #expect(renewals.filter { $0 > 0 } == [500, 500, 500, 500], "\(renewals)")
    }

    @Test func whoIsBlockedIsOffline() async throws {
        let stage = Stage()
        stage.open(ann)
        await stage.pass(1)
        let watch = try await stage.presence.watch([ann.user], of: ann.tenant)
        #expect(taken(watch) == ["ann on"])
        stage.close(ann)
        await stage.presence.remove(ann)
        #expect(taken(watch) == ["ann off"])
        #expect(try await !stage.isOnline(ann))
    }

    /// Nobody is told anything while the store is away, or of those whom other processes have not renewed since.
    @Test func withoutAStoreNothingIsKnown() async throws {
        let stage = Stage()
        stage.open(ann)
        await stage.pass(1)
        let watch = try await stage.presence.watch([ann.user], of: ann.tenant)
        #expect(taken(watch) == ["ann on"])
        stage.store.isAway.withLock { $0 = true }
        await stage.pass(200)
        #expect(taken(watch) == [])
        await #expect(throws: ChatError.self) { try await stage.isOnline(ann) }
        let late = try await stage.presence.watch([ben.user], of: ann.tenant)
        #expect(taken(late) == [])
        stage.store.isAway.withLock { $0 = false }
        await stage.pass(61)
        #expect(taken(watch) == [] && taken(late) == ["ben off"])
        #expect(try await stage.isOnline(ann))
    }

    /// What all watch together is bounded, and shared by the tenants; a watch that ends gives its part back.
    @Test func watchesAreBounded() async throws {
        let stage = Stage()
        let users = (0..<Presence.mostUsers).map { User.ID("u\($0)")! }
        var watches: [PresenceWatch] = []
        while let watch = try? await stage.presence.watch(users, of: Tenant.ID(1)) { watches.append(watch) }
        #expect(watches.count == 131_072 / 2 / 100)
        let other = try await stage.presence.watch(users, of: Tenant.ID(2))
        #expect(other.take {}.count == 100)
        watches = []
        #expect(try await stage.presence.watch(users, of: Tenant.ID(1)).take {}.count == 100)
    }

    @Test func aWakeIsCalledOnce() async throws {
        let watch = PresenceWatch {}
        let wakes = Mutex(0)
        #expect(watch.take { wakes.withLock { $0 += 1 } } == [])
        for isOnline in [true, false] { watch.tell(ann.user, isOnline: isOnline) }
        #expect(wakes.withLock(\.self) == 1)
        #expect(taken(watch) == ["ann off"])
    }

    @Test func listsOfUsers() throws {
        #expect(try Presence.users(["ann", "ben", "ann"], named: "Users") == [ann.user, ben.user])
        #expect(throws: ChatError.self) { try Presence.users(["ann", ""], named: "Users") }
        let many = (0...Presence.mostUsers).map { "u\($0)" }
        #expect(throws: ChatError.self) { try Presence.users(many, named: "Users") }
        #expect(try Presence.users(Array(many.dropLast()), named: "Users").count == Presence.mostUsers)
    }
}
