import ChatCore
import MySQLClient

/// Makes missing numbers void: invisible rows hold them, so that no writer can use them.
extension MySQLStore {
    /// Numbers per transaction, which takes about 50 ms.
    static let settledAtOnce: Int64 = 4096

    func settle(_ numbers: ClosedRange<Int64>, in chat: Chat.ID) async throws {
        for part in numbers.parts(of: Self.settledAtOnce) {
            _ = try await settle(part, of: chat.rawValue, in: .messages, patience: messageLog.patience)
        }
    }

    /// Settles an owner's numbers in one transaction: those without a row get a void one.
    ///
    /// - Parameter numbers: at most `settledAtOnce`.
    /// - Returns: the numbers that became void.
    /// - Throws: `ChatError.notFound` if the owner does not exist; `.unavailable`.
    @discardableResult
    func settle(
        _ numbers: ClosedRange<Int64>, of owner: Int64, in table: NumberedTable, patience: Duration
    ) async throws -> [Int64] {
        var retry = Retry(patience: patience)
        while true {
            do throws(MySQLError) {
                return try await writes.run(within: retry.remaining) { connection in
                    try connection.transaction { connection in
                        let missing = try table.missing(numbers, of: owner, connection)
                        let places = missing.map { OwnedNumber(owner: owner, number: $0) }
                        try Self.insert(voids: places, into: table, at: WallClock.system.now(), connection)
                        return missing
                    }
                }
            } catch {
                if case .foreignKey = error.kind { throw ChatError.notFound }
                // A duplicate: a writer has stored one of them meanwhile.
                guard await retry.mayGoOn(after: error) else { throw ChatError(driver: error) }
            }
        }
    }

    /// Stores void rows, subtracts them from their chats' counts, and records them.
    static func insert(
        voids: [OwnedNumber], into table: NumberedTable = .messages, at now: Timestamp,
        _ connection: isolated MySQLConnection
    ) throws {
        let numbers = Dictionary(grouping: voids, by: \.owner).mapValues { $0.map(\.number).sorted() }
        // The chat first: inserting a row takes a shared lock on it, but the update needs an exclusive one.
        for (chat, numbers) in numbers.sorted(by: { $0.key < $1.key }) where table == .messages {
            try connection.execute(
                "UPDATE chats SET void_count = void_count + ? WHERE id = ?",
                [.integer(Int64(numbers.count)), .integer(chat)])
        }
        for some in voids.statements(within: connection.facts.maxPacket) {
            try connection.execute(
                """
                INSERT INTO \(table.name) (\(table.owner), number, created_at, updated_at, batch_id)
                VALUES \(some.map { _ in "(?, ?, ?, ?, ?)" }.joined(separator: ", "))
                """,
                some.flatMap { place -> [MySQLValue] in
                    [
                        .integer(place.owner), .integer(place.number), .timestamp(now.microseconds),
                        .timestamp(now.microseconds), .integer(BatchID.void),
                    ]
                })
        }
        if table == .messages { try VisibleCount.record(numbers, connection) }
        for (owner, numbers) in numbers { try VoidRuns(table: table).recordRuns(of: numbers, of: owner, connection) }
    }
}

extension NumberedTable {
    /// The numbers of a range without a row.
    fileprivate func missing(
        _ numbers: ClosedRange<Int64>, of owner: Int64, _ connection: isolated MySQLConnection
    ) throws -> [Int64] {
        let stored = Set(
            try connection.rows(
                "SELECT number FROM \(byNumber) WHERE \(self.owner) = ? AND number >= ? AND number <= ?",
                [.integer(owner), .integer(numbers.lowerBound), .integer(numbers.upperBound)]
            ) { $0.integer(0) })
        return numbers.filter { !stored.contains($0) }
    }
}
