extension Tenant {
    /// The second name of a tenant, which is no secret: `app_` and 22 random characters of base62.
    package struct PublicID: Hashable, Sendable, CustomStringConvertible {
        private static let prefix = "app_"
        private let characters: Base62

        private init(_ characters: Base62) { self.characters = characters }

        /// - Returns: nil unless it has that form.
        package init?(_ text: Substring) {
            var text = text
            let characters: Base62? = text.withUTF8 { utf8 in
                guard utf8.count == 26, utf8[..<4].elementsEqual(Self.prefix.utf8) else { return nil }
                return Base62(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: utf8[4...])), count: 22)
            }
            guard let characters else { return nil }
            self.init(characters)
        }

        package init?(_ text: String) { self.init(text[...]) }

        package static func random() -> PublicID { PublicID(.random(count: 22)) }

        package var text: String { Self.prefix + characters.text }
        package var description: String { text }
    }

    /// What a path calls a tenant.
    package enum Name: Hashable, Sendable {
        case token(Token)
        case publicID(PublicID)

        /// - Returns: nil unless it has the form of either.
        package init?(_ text: Substring) {
            if let token = Token(text) {
                self = .token(token)
            } else if let id = PublicID(text) {
                self = .publicID(id)
            } else {
                return nil
            }
        }

        /// As it stands in a path. Never for a log: it may be the token.
        package var text: String {
            switch self {
            case .token(let token): token.text
            case .publicID(let id): id.text
            }
        }
    }

    /// What the token is worth in a path. Stored by its number.
    package enum PathToken: Int64, CaseIterable, Sendable {
        /// It opens everything of the application.
        case credential = 0
        /// It only names the application: credentials are needed beside it.
        case identifier = 1
        /// It names nothing.
        case off = 2

        /// An unknown number, of a later version, is the strictest.
        package init(stored number: Int64) { self = PathToken(rawValue: number) ?? .off }

        /// By its name in the API.
        package init?(name: String) {
            guard let value = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
            self = value
        }

        package var name: String {
            switch self {
            case .credential: "credential"
            case .identifier: "identifier"
            case .off: "off"
            }
        }
    }

    /// What a look-up by a name finds.
    package struct Identity: Equatable, Sendable {
        package let id: ID
        /// The token of now.
        package let token: Token
        package let pathToken: PathToken
        package let isSuspended: Bool
        /// If the name is the token of before; also when that has ended.
        package let deprecation: Deprecation?
        /// What it has set for requests; nil if nothing.
        package let rules: TenantRules?

        package init(
            id: ID, token: Token, pathToken: PathToken, isSuspended: Bool = false, deprecation: Deprecation? = nil,
            rules: TenantRules? = nil
        ) {
            self.id = id
            self.token = token
            self.pathToken = pathToken
            self.isSuspended = isSuspended
            self.deprecation = deprecation
            self.rules = rules
        }

        /// - Parameter origin: as browsers write it.
        func allows(_ origin: String) -> Bool { rules?.allows(origin) == true }
    }

    /// A token that has been replaced (`TenantScope.rotate`).
    package struct Deprecation: Equatable, Sendable {
        /// When it was replaced.
        package let since: Timestamp
        /// It names nothing from then on.
        package let until: Timestamp

        package init(since: Timestamp, until: Timestamp) {
            self.since = since
            self.until = until
        }
    }
}
