import ChatCore
import MySQLClient
import Synchronization

/// Reads single messages, many in one statement. A look-up is sent at once while few statements are in flight; at the
/// limit it waits for the next statement.
///
/// Every look-up is read by a statement that was sent after it, so it finds each message whose create was answered.
final class MessageLookups: Sendable {
    struct Key: Hashable, Sendable {
        let chat: Chat.ID
        let number: Message.Number
    }

    typealias Read = @Sendable (_ keys: [Key]) async throws -> [Key: Message]
    private typealias Waiter = CheckedContinuation<Message?, any Error>

    private struct State {
        var waiting: [(key: Key, waiter: Waiter)] = []
        var inFlight = 0
    }

    /// The limit of look-ups in one statement: at most 4 MB of bodies.
    static let most = 64
    /// The limit of concurrent statements.
    private static let mostInFlight = 4
    /// The limit of waiting look-ups. Others are refused.
    static let mostWaiting = 8192

    private let state = Mutex(State())

    /// Look-ups that wait for a statement.
    var waiting: Int { state.withLock(\.waiting.count) }

    /// - Parameter read: reads the look-ups that wait when a statement starts, which may be those of other callers.
    /// - Throws: the errors of `read`; `ChatError.overloaded`.
    func message(_ key: Key, _ read: @escaping Read) async throws -> Message? {
        try await withCheckedThrowingContinuation { (waiter: Waiter) in
            let (isRefused, starts) = state.withLock { state in
                guard state.waiting.count < Self.mostWaiting else { return (true, false) }
                state.waiting.append((key, waiter))
                guard state.inFlight < Self.mostInFlight else { return (false, false) }
                state.inFlight += 1
                return (false, true)
            }
            if isRefused { waiter.resume(throwing: ChatError.overloaded) }
            // In another task: this one may be cancelled, and others depend on the statement.
            if starts { Task.detached { await self.run(read) } }
        }
    }

    private func run(_ read: Read) async {
        while let batch = next() {
            do {
                let found = try await read(batch.map(\.key))
                for (key, waiter) in batch { waiter.resume(returning: found[key]) }
            } catch {
                for (_, waiter) in batch { waiter.resume(throwing: error) }
            }
        }
    }

    /// - Returns: nil if no look-up waits; then there is one statement fewer in flight.
    private func next() -> [(key: Key, waiter: Waiter)]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.inFlight -= 1
                return nil
            }
            let batch = Array(state.waiting.prefix(Self.most))
            state.waiting.removeFirst(batch.count)
            return batch
        }
    }
}

extension MessageLookups {
    /// A statement has one of these numbers of keys, so that few are prepared. The last key is repeated to fill it.
    private static let statements = [1, 4, 16, most].map { (keys: $0, sql: statement(keys: $0)) }

    static func read(_ keys: [Key], _ connection: isolated MySQLConnection) throws -> [Key: Message] {
        guard let last = keys.last, let statement = statements.first(where: { $0.keys >= keys.count }) else {
            return [:]
        }
        let padded = keys + Array(repeating: last, count: statement.keys - keys.count)
        var found: [Key: Message] = [:]
        let parameters = padded.flatMap { [MySQLValue.integer($0.chat.rawValue), .integer($0.number.rawValue)] }
        try connection.query(statement.sql, parameters) { row in
            let message = MessageRow.message(row)
            found[Key(chat: Chat.ID(row.integer(MessageRow.columnCount)), number: message.number)] = message
            return true
        }
        return found
    }

    private static func statement(keys count: Int) -> String {
        let conditions = Array(repeating: "(chat_id = ? AND number = ?)", count: count)
        return """
            SELECT \(MessageRow.columns), chat_id FROM messages
            WHERE batch_id >= 0 AND (\(conditions.joined(separator: " OR ")))
            """
    }
}
