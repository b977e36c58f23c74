import ChatCore
import MySQLClient

/// Reads the rows of candidates: many in a statement, although a search asks for one at a time.
struct SearchCandidates {
    private var waiting: ArraySlice<MessageLookups.Key> = []
    /// Those that were read last.
    private var batch: ArraySlice<MessageLookups.Key> = []
    private var rows: [MessageLookups.Key: Message] = [:]

    /// - Parameter keys: in the order in which the search will ask, some of them maybe never.
    mutating func expect(_ keys: [MessageLookups.Key]) {
        waiting = keys[...]
        batch = []
        rows = [:]
    }

    /// - Returns: nil if there is no such message.
    mutating func message(_ key: MessageLookups.Key, _ connection: isolated MySQLConnection) throws -> Message? {
        if !batch.contains(key), let index = waiting.firstIndex(of: key) {
            batch = waiting[index...].prefix(MessageLookups.most)
            waiting = waiting[batch.endIndex...]
            rows = try MessageLookups.read(Array(batch), connection)
        }
        return rows[key]
    }
}
