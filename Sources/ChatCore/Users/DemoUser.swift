import Cryptography

/// Who the page at `/` can be, on a server on this machine that anyone may use.
///
/// Its keys can sign for anyone of their application, and whoever reads the database has them. So they begin with
/// `demo-`, no other key does, and no other server takes their tokens.
package enum DemoUser: String, CaseIterable, Sendable {
    case ada = "Ada"
    case ben = "Ben"
    case cleo = "Cleo"
    case dan = "Dan"

    /// How long a token of theirs is good for.
    package static let tokenLifetime = Duration.seconds(900)

    package var id: User.ID { User.ID(stored: rawValue.lowercased()) }
    package var name: String { rawValue }

    package init?(id: String) {
        guard let user = Self.allCases.first(where: { $0.id.text.utf8.elementsEqual(id.utf8) }) else { return nil }
        self = user
    }
}

extension UserTokenKey.ID {
    private static let demoPrefix = "demo-"

    /// Whether only a server with `AccessPolicy.takesDemoKeys` takes its tokens.
    var isDemo: Bool { text.utf8.starts(with: Self.demoPrefix.utf8) }

    static func randomDemo() -> UserTokenKey.ID { UserTokenKey.ID(demoPrefix + random().text)! }
}

extension TenantScope {
    /// A token for one of the page's users, who is stored if need be. Its key is made at the first use.
    ///
    /// - Throws: `ChatError.notAllowed`; `.notFound` unless this server takes such tokens; `.invalid` for one key too
    ///   many; what `GroupCommit.submit` throws.
    package func demoToken(for user: DemoUser) async throws -> (token: String, expiresAt: Timestamp) {
        guard service.policy.takesDemoKeys else { throw ChatError.notFound }
        let (key, secret) = try await demoKey()
        // Whoever may make keys may sign for anyone, who is then stored.
        if try await lookUp({ try await service.backend.users.user(user.id, in: $0.id) }) == nil {
            try await submit(
                .users(.put(user.id, name: user.name, metadata: nil), of: id, token: token), .updateUser,
                target: user.id.text)
        }
        let audience = try await lookUp { scope in
            guard let tenant = try await service.backend.tenants.tenant(scope.id) else { throw ChatError.notFound }
            return tenant.publicID.text
        }
        let now = service.clock.now()
        let end = now.adding(min(DemoUser.tokenLifetime, service.policy.tokenMaxLifetime))
        return (
            UserToken.sign(for: user.id, audience: audience, issuedAt: now, expiresAt: end, keyID: key, secret: secret),
            end
        )
    }

    private func demoKey() async throws -> (UserTokenKey.ID, SecretKey) {
        for stored in try await tokenKeys() where stored.key.id.isDemo && stored.key.state == .active {
            if case .secret(let secret) = stored.key.material { return (stored.key.id, secret) }
        }
        let made = try await createTokenKey(id: .randomDemo())
        guard case .secret(let secret) = made.key.material else { throw ChatError.notFound }
        return (made.key.id, secret)
    }
}
