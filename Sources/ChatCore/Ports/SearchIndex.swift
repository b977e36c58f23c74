/// Stores the search blocks of chats (`SearchBlock`). `MessageStore.search` reads them; `SearchIndexer` makes them.
///
/// Whoever edits or deletes a message, or stores one at or below `SearchHead.indexedTo`, drops the block that covers it
/// and raises `SearchHead.edits`, in the same transaction. What no block covers is searched row by row.
///
/// All methods throw `ChatError.unavailable` when the store cannot answer.
package protocol SearchIndex: Sendable {
    /// How many messages at the end of a chat that has become quiet are worth a block: fewer take less space and time as
    /// rows.
    var smallestTail: Int { get }
    /// Chats that may have new messages or dropped blocks since the last call, in whatever process. Some may be left out:
    /// the walk of all chats finds them.
    func changedChats() async throws -> [Chat.ID]
    /// Chats with smaller ids, newest first.
    ///
    /// - Parameter id: exclusive; nil for the newest.
    func chats(below id: Chat.ID?, limit: Int) async throws -> [Chat.ID]
    /// The head of each chat; `SearchHead()` for a chat that has none is left out.
    func heads(of chats: [Chat.ID]) async throws -> [Chat.ID: SearchHead]
    /// How many numbers the blocks of this `SearchBlock.version` cover, for each chat; chats without blocks are left out.
    func coverage(of chats: [Chat.ID]) async throws -> [Chat.ID: Int64]
    /// The blocks of this `SearchBlock.version` above a number, ascending, without their texts.
    func outlines(of chat: Chat.ID, after number: Int64, limit: Int) async throws -> [SearchBlockOutline]
    /// The block that begins at a number, of this `SearchBlock.version`.
    func block(of chat: Chat.ID, at first: Int64) async throws -> SearchBlock?
    /// Stores a block in place of all that it overlaps, of any version, and moves the head to its end if it was below.
    ///
    /// - Returns: false if the head is not `head` any more, or the chat is gone; then nothing is stored.
    func store(_ block: SearchBlock, at head: SearchHead) async throws -> Bool
    /// Drops some of a chat's blocks and resets its head: search is right meanwhile, and slower.
    ///
    /// - Returns: whether there may be more.
    func dropBlocks(of chat: Chat.ID) async throws -> Bool
    func searchStatus() async throws -> SearchStatus
}

/// Where the index of a chat ends, and a count that shows changes below it.
package struct SearchHead: Equatable, Sendable {
    /// No block covers a number above it.
    package var indexedTo: Int64
    /// Rises with each edit and delete of a message of the chat, so that a block of older rows is not stored.
    package var edits: Int64

    package init(indexedTo: Int64 = 0, edits: Int64 = 0) {
        self.indexedTo = indexedTo
        self.edits = edits
    }
}

/// A block without its text.
package struct SearchBlockOutline: Equatable, Sendable {
    package let span: ClosedRange<Int64>
    package let count: Int
    /// Of its text, numbers and times.
    package let bytes: Int
    /// Whether it is stored for the tenant that has its chat.
    package let isOwn: Bool

    package init(span: ClosedRange<Int64>, count: Int, bytes: Int, isOwn: Bool) {
        self.span = span
        self.count = count
        self.bytes = bytes
        self.isOwn = isOwn
    }
}

/// The extent of the whole index.
package struct SearchStatus: Codable, Equatable, Sendable {
    package var blocks: Int64
    /// Messages in blocks.
    package var indexed: Int64
    /// Messages stored.
    package var messages: Int64
    /// Bytes of the blocks' texts, numbers and times.
    package var bytes: Int64

    package init(blocks: Int64, indexed: Int64, messages: Int64, bytes: Int64) {
        self.blocks = blocks
        self.indexed = indexed
        self.messages = messages
        self.bytes = bytes
    }
}
