/// The keys in Redis that the Rails application knows, and ours, which start with `luciq:`. (The counters of numbers:
/// `NumberedTable`.)
enum RedisKey {
    /// A copy of a chat's live count; the Rails application reads it.
    static func messagesCount(of chat: Int64) -> String { "chat:\(chat):messages_count" }
}
