import ChatCore
import NIOCore
import NIOWebSocket

/// What a connection knows of its client's credentials.
struct SocketCredentials {
    /// How long before the token's end the client is told.
    static let notice = Duration.seconds(30)

    var isChecking = false
    /// The end that the timers are for. A client may renew as often as it likes, so there is one pair at a time.
    var watched = AccessExpiry.never
    var timers: [Scheduled<Void>] = []
}

/// The end of the client's token, and newer ones.
extension WebSocketHandler {
    /// Tells of the token's end, and closes then, unless a newer one has come.
    func watchExpiry() {
        guard case .at(let end) = tenant.access.expiry, credentials.watched != .at(end) else { return }
        credentials.watched = .at(end)
        credentials.timers.forEach { $0.cancel() }
        let left = tenant.access.timeLeft(until: end)
        let notice = schedule(max(.zero, left - SocketCredentials.notice)) { handler in
            guard handler.tenant.access.expiry == .at(end), handler.link.phase == .open else { return }
            let left = handler.tenant.access.timeLeft(until: end)
            handler.write(.text, TokenExpiringAnswer(expiresIn: max(0, left.components.seconds)).text)
            handler.flush()
        }
        let expiry = schedule(max(.zero, left)) { handler in
            if handler.tenant.access.expiry == .at(end) { handler.close(.expired) }
        }
        credentials.timers = [notice, expiry].compactMap(\.self)
    }

    func authenticate(_ token: String, ref: String?) {
        guard !credentials.isChecking else { return close(.protocolError("The previous token is not checked yet")) }
        credentials.isChecking = true
        Task { [tenant, outlet] in
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await tenant.access.renew(with: token)) } catch { outcome = .failure(error) }
            outlet?.authenticated(outcome, ref: ref)
        }
    }

    func authenticated(_ outcome: Result<Void, any Error>, ref: String?) {
        credentials.isChecking = false
        switch outcome {
        case .success:
            guard link.phase == .open, let answer = AuthenticatedAnswer(tenant.access, ref: ref) else { return }
            write(.text, answer.text)
            keep(tenant.access.includes)
            watchExpiry()
        case .failure(let error):
            if let closure = WebSocketClosure(refusing: error) { return close(closure) }
            if link.phase == .open { write(.text, SocketRefusal(Problem(live: error), ref: ref).text) }
        }
        flush()
    }
}
