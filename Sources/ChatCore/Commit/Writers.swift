/// The group commit of changes to chats.
package typealias ChatWriter = GroupCommit<ChatChange, ChatChange.Outcome>
/// The group commit of new chats.
package typealias NewChatWriter = GroupCommit<NewChat, AppendedChat>
/// The group commit of changes to tenants and their keys.
package typealias TenantWriter = GroupCommit<TenantChange, TenantChange.Effect>
/// The group commit of edits and deletions of messages.
package typealias ChangeWriter = GroupCommit<MessageChange, ChangedMessage>
/// The group commit of how far users have read.
package typealias ReadWriter = GroupCommit<ReadMark, MarkedRead>
