/// The credentials of a request.
package struct Credentials: Sendable {
    /// The path's part at the place of the application: its token or its public id.
    package let application: Substring
    package let authorization: Authorization
    /// Who shows them.
    package let client: IPAddress

    package init(
        application: Substring, authorization: Authorization = .none, client: IPAddress = .unspecified
    ) {
        self.application = application
        self.authorization = authorization
        self.client = client
    }
}

/// What a request's `Authorization` shows.
package enum Authorization: Sendable {
    /// Nothing, or a scheme of somebody else's.
    case none
    case key(AccessKey)
    /// Something with the form of a JWT, of any length.
    case userToken(String)
    /// A ticket in the query.
    case ticket(String)
    /// Something that is not a key of ours.
    case invalid
    /// More than one.
    case several
}

/// Why credentials were refused. `code` is part of the API, like `ChatError.code`.
package enum Refusal: Equatable, Sendable {
    /// There are none.
    case required
    case invalid
    case expired
    case revoked
    /// A user token, and why. Never `.blocked`, which is `ChatError.userBlocked`.
    case userToken(UserTokenRefusal)

    package var code: String {
        switch self {
        case .required: "credentials_required"
        case .invalid: "token_invalid"
        case .expired: "token_expired"
        case .revoked: "token_revoked"
        case .userToken(let refusal): refusal.code
        }
    }
}
