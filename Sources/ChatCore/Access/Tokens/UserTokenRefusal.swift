/// Why a user token is refused.
package enum UserTokenRefusal: Error, Equatable, Sendable {
    case expired
    case notYetValid
    /// The key was revoked, or its time to retire is over; or the user's tokens of before a moment were revoked.
    case revoked
    /// The token is good, and its user is not let in.
    case blocked
    case invalid(Fault)

    /// What is wrong with a token that can never be taken.
    package enum Fault: CaseIterable, Sendable {
        case length
        case form
        case header
        case headerParameter
        case type
        case algorithm
        case key
        case claims
        case audience
        case subject
        case times
        case lifetime
        case id
        case chats
        case signature
    }

    /// Part of the API: clients switch on it.
    package var code: String {
        switch self {
        case .expired: "token_expired"
        case .notYetValid: "token_not_yet_valid"
        case .revoked: "token_revoked"
        case .blocked: "user_blocked"
        case .invalid: "token_invalid"
        }
    }

    /// One sentence, for the developer who makes the tokens.
    package var sentence: String {
        switch self {
        case .expired: "The token has expired."
        case .notYetValid:
            "The token is not valid yet: its iat is more than 5 seconds in the future, or its nbf more than 60."
        case .revoked: "The token was revoked: its key, or the user's tokens with an iat up to 5 seconds after that."
        case .blocked: "This user is blocked."
        case .invalid(let fault): fault.sentence
        }
    }
}

extension UserTokenRefusal.Fault {
    fileprivate var sentence: String {
        switch self {
        case .length: "The token is longer than \(UserToken.maxLength) bytes."
        case .form: "The token is not a signed JWT in compact form: three parts of base64url with dots between them."
        case .header: "The token's header is not a JSON object with distinct members."
        case .headerParameter: "The token's header has a parameter that is refused here, such as jku, x5u, jwk or crit."
        case .type: "The token's typ is neither JWT nor luciq-user+jwt."
        case .algorithm: "The token's alg is not its key's, which is HS256 or EdDSA."
        case .key: "The token's kid is missing, or not the id of a key of the application that its aud names."
        case .claims: "The token's claims are not a JSON object with distinct members."
        case .audience: "The token's aud is not the application's public id, as one string."
        case .subject:
            "The token's sub must be 1 to \(User.ID.maxLength) bytes without control characters, and not ., .. or me."
        case .times: "The token's iat and exp, and nbf if it is there, are not whole seconds since 1970."
        case .lifetime: "The token's exp is not after its iat, or further after it than this server allows."
        case .id: "The token's jti is not a text."
        case .chats: "The token's chats are not an array of chat numbers."
        case .signature: "The token's signature does not fit its key."
        }
    }
}
