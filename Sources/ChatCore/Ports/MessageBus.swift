/// Tells of messages just after they were committed, by whatever process, and of principals that were revoked.
///
/// It only wakes and carries: it may lose messages, repeat them and mix up their order. The database is the truth, and
/// `Hub` makes of both what a reader gets.
package protocol MessageBus: Sendable {
    var hearing: BusHearing { get }
    /// Sets who is told. Once, before the first subscription. It is called on threads that must not be held up.
    func listen(_ listener: @escaping @Sendable (BusEvent) -> Void)
    /// Returns when the chat's messages are heard, or when it is known that they are not for now. Called again for the same
    /// chat only after the last call for it has returned.
    ///
    /// - Returns: whether they are heard. If not, it is for the caller to try again.
    func subscribe(to chat: Chat.ID) async -> Bool
    func unsubscribe(from chat: Chat.ID) async
    /// Tells every process, this one before it returns. One that hears nothing just now is told of a gap later.
    func revoke(_ principal: Principal)
}

package enum BusEvent: Sendable {
    /// Messages of one chat that were committed.
    case committed(Chat.ID, [Message])
    /// What was known of a principal is not true any more, and what it has open is to end.
    case revoked(Principal)
    /// Messages of any chat, and revocations, may have been missed by now; from now on all are heard again.
    case gap
}

/// How much of what is committed a bus gets to hear.
package enum BusHearing: Sendable {
    /// Everything, always: there is one process only.
    case everything
    /// What its publishers could send. One that had lost its connection sent nothing, and nobody noticed.
    case usual
    /// Nothing just now.
    case nothing
}
