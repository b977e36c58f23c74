/// The keys in Redis that the Rails application uses, and ours, which start with `luciq:`. `NumberedTable` has the keys
/// of the number counters.
enum RedisKey {
    /// A copy of a chat's live count; the Rails application reads it.
    static func messagesCount(of chat: Int64) -> String { "chat:\(chat):messages_count" }
}
