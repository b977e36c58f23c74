import Synchronization

/// Which users are online, in all processes: those who were renewed within `Presence.lasts`, by whichever process.
///
/// All methods throw `ChatError.unavailable` when it cannot be reached. Nothing but presence needs it.
package protocol PresenceStore: Sendable {
    /// Says that users are online from now on.
    func renew(_ users: [PresentUser]) async throws
    /// Which of some users are online.
    func online(among users: [PresentUser]) async throws -> Set<PresentUser>
    /// Says that a user is not online.
    func remove(_ user: PresentUser) async throws
}

/// A user of a tenant, who may be online.
package struct PresentUser: Hashable, Sendable {
    package let tenant: Tenant.ID
    package let user: User.ID

    package init(tenant: Tenant.ID, user: User.ID) {
        self.tenant = tenant
        self.user = user
    }
}

/// The store of a single process.
final class LocalPresence: PresenceStore {
    /// More are as if they were offline.
    private static let capacity = 262_144

    private let time: Timekeeper
    /// Until when each is online.
    private let ends = Mutex<[PresentUser: Duration]>([:])

    init(time: Timekeeper) { self.time = time }

    func renew(_ users: [PresentUser]) {
        let now = time.now()
        ends.withLock { ends in
            if ends.count + users.count > Self.capacity { ends = ends.filter { $0.value > now } }
            for user in users where ends.count < Self.capacity || ends[user] != nil {
                ends[user] = now + Presence.lasts
            }
        }
    }

    func online(among users: [PresentUser]) -> Set<PresentUser> {
        let now = time.now()
        return ends.withLock { ends in Set(users.filter { ends[$0].map { $0 > now } ?? false }) }
    }

    func remove(_ user: PresentUser) { ends.withLock { $0[user] = nil } }
}
