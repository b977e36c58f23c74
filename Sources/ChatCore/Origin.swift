/// The names from which the ids of a change were looked up.
///
/// Ids belong to one server. After a failover that lost rows, they may mean another tenant on the new server; the token
/// and the number identify what the client meant.
package struct Origin: Sendable {
    package let token: Tenant.Token
    /// Nil for the tenant itself.
    package let chat: Chat.Number?
    /// `Backend.epoch` when they were looked up.
    package let epoch: UInt64

    package init(token: Tenant.Token, chat: Chat.Number? = nil, epoch: UInt64) {
        self.token = token
        self.chat = chat
        self.epoch = epoch
    }
}
