/// What users are in chats: looked up once and then kept, so that most requests need no store. A change makes it
/// forgotten here at once, and in other processes by the bus or by the table that they read every few seconds.
///
/// A chat that is not there for a user is looked up each time, as one that does not exist is: by one statement that does
/// not tell the two apart. So is the place of one that was removed: a cursor that it is given must not pass the event that
/// lets it in again.
final class Memberships: Sendable {
    struct Key: Hashable, Sendable {
        let tenant: Tenant.ID
        let chat: Chat.Number
        let user: User.ID
    }

    private let places: ImmutableCache<Key, MemberPlace>
    private let backend: Backend

    init(backend: Backend) {
        self.backend = backend
        self.places = ImmutableCache(capacity: 65_536, epoch: backend.epoch)
    }

    func known(_ key: Key) -> MemberPlace? { places[key] }

    /// - Throws: `ChatError.notFound` if the chat is not there for the user.
    func find(_ key: Key) async throws -> MemberPlace {
        if let place = places[key] { return place }
        let version = places.version
        guard let place = try await backend.members.place(of: key.user, in: key.chat, of: key.tenant) else {
            throw ChatError.notFound
        }
        if place.standing.role != nil { places.insert(place, for: key, at: version) }
        return place
    }

    func forget(_ change: MembersChanged) {
        guard let user = change.user else { return places.forget { $0.chat == change.chat } }
        places.forget(Key(tenant: change.tenant, chat: change.number, user: user))
    }

    func forgetAll() { places.forgetAll() }
}

/// A user who reads a chat live.
struct Viewer: Sendable {
    let user: Memberships.Key
    /// The messages that were there for it when it began.
    let numbers: NumberSpan
}

/// A chat, and what a user is there.
package struct MemberPlace: Equatable, Sendable {
    package let chat: Chat.ID
    package let standing: Standing

    package init(chat: Chat.ID, standing: Standing) {
        self.chat = chat
        self.standing = standing
    }
}
