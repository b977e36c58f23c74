/// Where the readers of every chat's log are (`LogReader`). Void numbers count as any other.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol LogReaders: Sendable {
    /// The number up to which a reader has dealt with each chat. A chat that it has not begun is left out.
    func cursors(of reader: LogReader.Name, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// Moves a cursor on, durably.
    ///
    /// - Parameters:
    ///   - old: where it is; 0 for a chat that the reader has not begun.
    ///   - new: above `old`.
    /// - Returns: false when it is not at `old` any more, and was left there. A call whose answer was lost may say so of
    ///   its own move.
    func advance(_ reader: LogReader.Name, in chat: Chat.ID, from old: Int64, to new: Int64) async throws -> Bool
    /// Begins to look for what has changed since the reader's last sweep that was finished; at all chats when there is
    /// none, or it is too long ago.
    func beginSweep(of reader: LogReader.Name) async throws -> LogSweep
    /// Some more chats with rows that the reader may not have seen; perhaps one again, or one with nothing new. Costs what
    /// has changed, unless all chats are looked at.
    ///
    /// - Returns: nil at the end.
    func nextChats(of sweep: inout LogSweep) async throws -> [Chat.ID]?
    /// The reader has come to the end of each of the sweep's chats: the next one begins where this one did.
    func finish(_ sweep: LogSweep) async throws
}

/// A reader's look for chats that have changed, half-way.
package struct LogSweep: Sendable {
    package let reader: LogReader.Name
    /// Where the next one begins. What it means is the store's to say, as of `place`.
    package let start: Int64
    /// Whether it looks at all chats, by id.
    package var isWalk: Bool
    /// Nil at the end.
    package var place: Int64?

    package init(of reader: LogReader.Name, start: Int64 = 0, isWalk: Bool = true, place: Int64 = 0) {
        self.reader = reader
        self.start = start
        self.isWalk = isWalk
        self.place = place
    }
}
