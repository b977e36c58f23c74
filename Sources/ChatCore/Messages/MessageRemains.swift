/// Where the content of a message is, beside clients: all that a deletion must reach. Each store goes through the list
/// in the transaction of the deletion, and a test looks in each place.
///
/// Whatever keeps more of a message than its number belongs here.
package enum MessageRemains: CaseIterable, Sendable {
    /// `body` in the message's own row.
    case body
    /// `metadata` there.
    case metadata
    /// `mentions` there: what is left says that there are none.
    case mentions
    /// `message_versions`.
    case versions
    /// `reactions` in its row, and `message_reactions`.
    case reactions
    /// `pins`.
    case pin
    /// `search_blocks`, whose text is folded.
    case searchBlocks
    /// The search engine's document: the feed replaces it by an empty one.
    case engine
    /// Messages that wait for slow readers in a process' memory. The bus tells every process; it stores nothing.
    case liveWindow
    /// Payloads of background jobs: they name chats by their ids, and have no text of a message.
    case jobs
}
