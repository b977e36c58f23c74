/// A customer's application: the owner of chats, found by its token.
///
/// The HTTP API and the tables call it an *application*; the type is named after its role so that it does not
/// clash with the application types of web frameworks.
package struct Tenant: Equatable, Sendable {
    /// The row id in `applications`; never shown to a client.
    package struct ID: Hashable, Sendable {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    package let id: ID
    package let token: Token
    package let publicID: PublicID
    package let pathToken: PathToken
    /// Nil if it has set none.
    package let rules: TenantRules?
    package let name: String
    /// Exact in the embedded backend; up to a minute behind in the cluster.
    package let chatsCount: Int64
    /// Exact in the embedded backend; up to a minute behind in the cluster.
    package let messagesCount: Int64
    package let createdAt: Timestamp
    /// Nil unless it is suspended.
    package var suspendedAt: Timestamp?
    /// When its deletion begins; nil unless it was asked for.
    package var deletesAt: Timestamp?

    package init(
        id: ID,
        token: Token,
        publicID: PublicID,
        pathToken: PathToken,
        rules: TenantRules? = nil,
        name: String,
        chatsCount: Int64,
        messagesCount: Int64,
        createdAt: Timestamp,
        suspendedAt: Timestamp? = nil,
        deletesAt: Timestamp? = nil
    ) {
        self.id = id
        self.token = token
        self.publicID = publicID
        self.pathToken = pathToken
        self.rules = rules
        self.name = name
        self.chatsCount = chatsCount
        self.messagesCount = messagesCount
        self.createdAt = createdAt
        self.suspendedAt = suspendedAt
        self.deletesAt = deletesAt
    }
}
