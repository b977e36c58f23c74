/// How the ids of something to be stored were found.
///
/// Ids are a server's own. Where another server takes its place, after a failover that lost rows, they may be another
/// tenant's there; the token and the number are what the client meant.
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
