/// Stores the cursors of log readers (`LogReader`). Void numbers count like others.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol LogReaders: Sendable {
    /// The reader's cursor in each chat, without chats that it has not begun.
    func cursors(of reader: LogReader.Name, in chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// Moves a cursor forward, durably.
    ///
    /// - Parameters:
    ///   - old: its position; 0 for a chat that the reader has not begun.
    ///   - new: above `old`.
    /// - Returns: false if it is no longer at `old`, and was not moved. A retry after a lost answer may return false
    ///   because of its own move.
    func advance(_ reader: LogReader.Name, in chat: Chat.ID, from old: Int64, to new: Int64) async throws -> Bool
    /// Moves the cursors of several chats that are still where the move begins, durably, all at once or some at a time.
    func advance(_ reader: LogReader.Name, _ moves: [LogMove]) async throws
    /// Begins a sweep of the chats that have changed since the reader's last finished sweep; of all chats if there is
    /// none, or it is too long ago.
    func beginSweep(of reader: LogReader.Name) async throws -> LogSweep
    /// The next chats with rows that the reader may not have seen. A chat may come twice, or have no new rows. The cost
    /// depends on the number of changes, unless the sweep visits all chats.
    ///
    /// - Returns: nil at the end.
    func nextChats(of sweep: inout LogSweep) async throws -> [Chat.ID]?
    /// Finishes a sweep whose chats were all read to their end. The next sweep starts where this one began.
    func finish(_ sweep: LogSweep) async throws
}

/// The move of a reader's cursor in a chat, as in `LogReaders.advance`.
package struct LogMove: Equatable, Sendable {
    package let chat: Chat.ID
    package let old: Int64
    package var new: Int64

    package init(_ chat: Chat.ID, from old: Int64, to new: Int64) {
        self.chat = chat
        self.old = old
        self.new = new
    }
}

/// The state of a reader's sweep.
package struct LogSweep: Sendable {
    package let reader: LogReader.Name
    /// Where the next sweep begins. Its meaning, like that of `place`, depends on the store.
    package let start: Int64
    /// Whether it visits all chats, by id.
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
