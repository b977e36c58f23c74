import Synchronization

/// The token of a user who is here: a connection may get a newer one, which then counts for all that it has open.
final class UserSession: Sendable {
    private let held: Mutex<UserToken>

    init(_ token: UserToken) { held = Mutex(token) }

    var token: UserToken { held.withLock(\.self) }

    func renew(_ token: UserToken) { held.withLock { $0 = token } }
}

/// When credentials end. No number of seconds stands for never.
package enum AccessExpiry: Equatable, Sendable {
    case at(Timestamp)
    case never
}
