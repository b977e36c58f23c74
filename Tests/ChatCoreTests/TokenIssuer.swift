import ChatCore
import Cryptography
import Synchronization

/// An application with two keys, as a server that signs its users' tokens and as the state that tokens are checked
/// against.
final class TokenIssuer: UserTokenAuthority {
    static let audience = "app_3kTMd8XwRvBz5NcY1qLh7P"
    static let now: Int64 = 1_800_000_000
    static let secret = SecretKey(Array(0..<32))
    static let secretKey = UserTokenKey(id: UserTokenKey.ID("key-HS256")!, .secret(secret))!
    /// RFC 8037, A.2.
    static let publicBytes = Base64URL.decode(Array("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".utf8)[...])!
    static let publicKey = UserTokenKey(
        id: UserTokenKey.ID("key-EdDSA")!, .publicKey(Ed25519PublicKey(publicBytes)!))!

    static let header = #"{"alg":"HS256","kid":"key-HS256","typ":"JWT"}"#
    static let claims = claims(#""sub":"u1","iat":1800000000,"exp":1800003600"#)

    private struct State {
        var keys = [secretKey, publicKey]
        var standings: [User.ID: UserStanding] = [:]
        var lookedFor = 0
    }
    private let state = Mutex(State())

    /// Claims with the audience and these members.
    static func claims(_ members: String, for audience: String = audience) -> String {
        #"{"aud":"\#(audience)",\#(members)}"#
    }

    static func time(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    /// A token of any texts, signed right with HMAC-SHA256.
    static func token(header: String = header, claims: String = claims, secret: SecretKey = secret) -> String {
        UserToken.sign(header: Array(header.utf8), claims: Array(claims.utf8), secret: secret)
    }

    func key(_ id: UserTokenKey.ID) -> UserTokenKey? {
        state.withLock { state in
            state.lookedFor += 1
            return state.keys.first { $0.id == id }
        }
    }

    func standing(of user: User.ID) -> UserStanding {
        state.withLock { $0.standings[user] ?? UserStanding() }
    }

    func set(_ keys: [UserTokenKey]) { state.withLock { $0.keys = keys } }

    func set(_ standing: UserStanding, of user: User.ID) { state.withLock { $0.standings[user] = standing } }

    var lookedFor: Int { state.withLock(\.lookedFor) }

    func verify(
        _ token: String, at seconds: Int64 = now, maxLifetime: Duration = .seconds(86_400)
    ) throws(UserTokenRefusal) -> UserToken {
        try UserToken.verify(
            token, for: Self.audience, at: Self.time(seconds), maxLifetime: maxLifetime, key: key)
    }

    /// Why a token is refused; nil if it is taken.
    func refusal(
        of token: String, at seconds: Int64 = now, maxLifetime: Duration = .seconds(86_400)
    ) -> UserTokenRefusal? {
        do throws(UserTokenRefusal) {
            _ = try verify(token, at: seconds, maxLifetime: maxLifetime)
            return nil
        } catch {
            return error
        }
    }
}
