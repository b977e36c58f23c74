/// Who may make applications: the server's own keys, and whether anyone may.
package struct AccessPolicy: Sendable {
    private let admins: [AccessKey.ID: AccessKey.Digest]
    /// Whether anyone may create applications.
    package let isOpen: Bool
    /// The most time from `iat` to `exp` of a user token.
    package let tokenMaxLifetime: Duration

    /// Whether user tokens count that the page's own keys have signed (`DemoUser`): on a server on this machine that
    /// anyone may use.
    package let takesDemoKeys: Bool

    package init(
        adminKeys: [AccessKey], isOpen: Bool, tokenMaxLifetime: Duration = .seconds(86_400), takesDemoKeys: Bool = false
    ) {
        admins = Dictionary(adminKeys.map { ($0.id, $0.digest) }) { first, _ in first }
        self.isOpen = isOpen
        self.tokenMaxLifetime = tokenMaxLifetime
        self.takesDemoKeys = isOpen && takesDemoKeys
    }

    /// No key, and anyone may create applications.
    package static let open = AccessPolicy(adminKeys: [], isOpen: true)

    /// Whether the server has keys of its own.
    var hasAdmins: Bool { !admins.isEmpty }

    /// Whether the key is one of the server's own.
    func admits(_ key: AccessKey) -> Bool { admins[key.id].map { $0 == key.digest } ?? false }
}
