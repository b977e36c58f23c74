/// The principal of a request.
package enum Principal: Hashable, Sendable {
    /// The holder of one of the server's own keys.
    case admin(AccessKey.ID)
    /// The holder of a key of the application.
    case applicationKey(AccessKey.ID)
    /// The holder of the application's token.
    case pathToken(Tenant.Token)
    /// The bearer of a user token of the application.
    case user(Tenant.ID, User.ID)
}

/// What a principal may do in its application: the scopes of its key.
package struct Abilities: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let read = Abilities(rawValue: 1)
    /// Create chats and messages.
    package static let write = Abilities(rawValue: 2)
    /// Change the application itself, and its keys.
    package static let admin = Abilities(rawValue: 4)
    /// Change who is in a chat.
    package static let members = Abilities(rawValue: 8)
    package static let all: Abilities = [.read, .write, .members, .admin]
    /// Suspend, resume and delete the application. The server's own keys have it, and no scope gives it.
    package static let server = Abilities(rawValue: 128)

    private static let named: [(name: String, ability: Abilities)] = [
        ("read", .read), ("write", .write), ("members", .members), ("admin", .admin),
    ]

    /// A single one by its name in the API.
    package init?(name: String) {
        guard let ability = Self.named.first(where: { $0.name.utf8.elementsEqual(name.utf8) })?.ability else {
            return nil
        }
        self = ability
    }

    package var names: [String] { Self.named.filter { contains($0.ability) }.map(\.name) }
}
