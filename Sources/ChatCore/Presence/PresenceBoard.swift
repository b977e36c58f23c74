/// The users who are watched in this process: how each one is, and what was told of it. All who watch a user are told the
/// same, at most once in a while and the last state in any case.
struct PresenceBoard {
    typealias WatchID = UInt64

    /// What a watch is to be told.
    struct Event: Equatable {
        let watch: WatchID
        let user: User.ID
        let isOnline: Bool
    }

    private struct Watched {
        var watches: Set<WatchID>
        /// Nil until it is known; so is `told`.
        var isOnline: Bool?
        var told: Bool?
        /// When the last change was told.
        var changedAt: Duration?
    }

    private var watched: [PresentUser: Watched] = [:]
    /// Those who are not as they were told to be.
    private var due: Set<PresentUser> = []

    var users: [PresentUser] { Array(watched.keys) }

    /// - Returns: what the watch is told at once, in the order of the users; and of whom nothing is known yet.
    mutating func join(_ watch: WatchID, _ users: [PresentUser]) -> (events: [Event], unknown: [PresentUser]) {
        var (events, unknown): ([Event], [PresentUser]) = ([], [])
        for user in users {
            watched[user, default: Watched(watches: [])].watches.insert(watch)
            if let told = watched[user]?.told {
                events.append(Event(watch: watch, user: user.user, isOnline: told))
            } else {
                unknown.append(user)
            }
        }
        return (events, unknown)
    }

    mutating func leave(_ watch: WatchID, _ users: [PresentUser]) {
        for user in users {
            watched[user]?.watches.remove(watch)
            guard watched[user]?.watches.isEmpty == true else { continue }
            watched[user] = nil
            due.remove(user)
        }
    }

    /// Takes how users are.
    mutating func see(_ users: [PresentUser], online: (PresentUser) -> Bool, now: Duration) -> [Event] {
        users.flatMap { user -> [Event] in
            guard var state = watched[user] else { return [] }
            state.isOnline = online(user)
            watched[user] = state
            return tell(of: user, now)
        }
    }

    /// What is due now, since the pause of its user is over.
    mutating func takeDue(now: Duration) -> [Event] {
        let users = due
        return users.flatMap { tell(of: $0, now) }
    }

    private mutating func tell(of user: PresentUser, _ now: Duration) -> [Event] {
        guard var state = watched[user], let isOnline = state.isOnline, isOnline != state.told else {
            due.remove(user)
            return []
        }
        // The first state is no change of it.
        if state.told != nil {
            if let last = state.changedAt, now - last < Presence.pause {
                due.insert(user)
                return []
            }
            state.changedAt = now
        }
        due.remove(user)
        state.told = isOnline
        watched[user] = state
        return state.watches.map { Event(watch: $0, user: user.user, isOnline: isOnline) }
    }
}
