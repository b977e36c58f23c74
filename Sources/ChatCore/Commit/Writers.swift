/// The group commit of messages.
package typealias MessageWriter = GroupCommit<NewMessage, AppendedMessage>
/// The group commit of chats.
package typealias ChatWriter = GroupCommit<NewChat, AppendedChat>
/// The group commit of tenants' creation and renaming.
package typealias TenantWriter = GroupCommit<TenantChange, Void>
