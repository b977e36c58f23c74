/// Publishes messages after their commit, and revocations, to all processes.
///
/// It may lose messages, repeat them and change their order. The database is authoritative; `Hub` combines both for its
/// readers.
package protocol MessageBus: Sendable {
    var hearing: BusHearing { get }
    /// Sets the listener, once, before the first subscription. It is called on threads that must not block.
    func listen(_ listener: @escaping @Sendable (BusEvent) -> Void)
    /// Subscribes to a chat. Returns when the subscription is confirmed or has failed. Calls for one chat must not
    /// overlap.
    ///
    /// - Returns: whether it is subscribed. If not, the caller retries.
    func subscribe(to chat: Chat.ID) async -> Bool
    func unsubscribe(from chat: Chat.ID) async
    /// Tells every process which revisions chats have reached, after the commit; this process before it returns.
    func publish(revisions: [Chat.ID: Int64])
    /// Tells every process what passes.
    func publish(_ signals: [Signal], in chat: Chat.ID)
    /// Tells every process that users are online who were not.
    func publish(online users: [PresentUser])
    /// Publishes a revocation to every process, to this one before it returns. A disconnected process gets `.gap`
    /// later.
    ///
    /// - Parameter isBlocked: whether it is a user who was blocked.
    func revoke(_ principal: Principal, isBlocked: Bool)
    /// Tells every process that a tenant was changed, this one before it returns.
    func change(_ tenant: Tenant.ID)
    /// Publishes a change of who may see what in a chat, likewise.
    func publish(_ change: MembersChanged)
}

package enum BusEvent: Sendable {
    /// Messages of one chat that were committed.
    case committed(Chat.ID, [Message])
    /// A chat has reached this revision.
    case revised(Chat.ID, Int64)
    case signals(Chat.ID, [Signal])
    /// These users are online.
    case online([PresentUser])
    /// A principal was revoked: forget it, and end its openings.
    case revoked(Principal, isBlocked: Bool)
    /// Something about a principal was changed, perhaps a while ago: look it up again, and end its openings if it is
    /// refused. Nil: about any of them.
    case changed(Principal?)
    /// The same for all principals of a tenant: it was suspended, or its token or what that is worth was changed.
    case tenantChanged(Tenant.ID)
    /// Who may see what in a chat was changed, perhaps a while ago.
    case members(MembersChanged)
    /// Messages and revocations may have been missed; from now on the bus is connected again.
    case gap
}

/// How complete the bus' messages are.
package enum BusHearing: Sendable {
    /// Complete: there is only one process.
    case everything
    /// All that publishers could send. A publisher without a connection sends nothing, and nobody notices.
    case usual
    /// Nothing: the bus is disconnected.
    case nothing
}
