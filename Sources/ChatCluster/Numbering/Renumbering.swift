import ChatCore
import MySQLClient

/// Gives rows with invalid numbers (older builds took whatever Redis said) new ones at the end of their log.
///
/// Locks the owner's row meanwhile, as an append without Redis does; the unique index refuses writers that took the same
/// number before.
struct Renumbering: Sendable {
    /// Rows per transaction.
    private static let part = 256

    let table: NumberedTable
    let pool: MySQLPool

    /// - Parameter owner: its rows with invalid numbers get new ones, in the order of the old ones.
    /// - Returns: the old and the new numbers.
    func run(_ owner: Int64) async throws -> [(old: Int64, new: Int64)] {
        var changes: [(old: Int64, new: Int64)] = []
        var retry = Retry(patience: .seconds(30))
        while true {
            do throws(MySQLError) {
                let some = try await pool.run(within: .seconds(30)) { connection in
                    try connection.transaction { try renumber(owner, $0).map { [$0.old, $0.new] } }
                }
                if some.isEmpty { return changes }
                changes += some.map { ($0[0], $0[1]) }
            } catch {
                guard await retry.mayGoOn(after: error) else { throw error }
            }
        }
    }

    private func renumber(
        _ owner: Int64, _ connection: isolated MySQLConnection
    ) throws -> [(old: Int64, new: Int64)] {
        _ = try connection.first("SELECT id FROM \(table.ownerTable) WHERE id = ? FOR UPDATE", [.integer(owner)]) {
            $0.integer(0)
        }
        let last = NumberedTable.lastNumber
        let highest =
            try connection.first(
                """
                SELECT number FROM \(table.byNumber) WHERE \(table.owner) = ? AND number > 0 AND number <= \(last)
                ORDER BY number DESC LIMIT 1
                """, [.integer(owner)]
            ) { $0.integer(0) } ?? 0
        var strays: [(id: Int64, number: Int64)] = []
        for condition in ["number < 1", "number > \(last)"] where strays.count < Self.part {
            strays += try connection.rows(
                """
                SELECT id, number FROM \(table.byNumber) WHERE \(table.owner) = ? AND \(condition)
                ORDER BY number LIMIT \(Self.part)
                """, [.integer(owner)]
            ) { ($0.integer(0), $0.integer(1)) }
        }
        // If no number is left, the rows keep theirs.
        let changes = zip(strays.prefix(Self.part), highest + 1...highest + Int64(Self.part))
            .filter { $0.1 <= last }.map { (id: $0.0.id, old: $0.0.number, new: $0.1) }
        for change in changes {
            try connection.execute(
                "UPDATE \(table.name) SET number = ? WHERE id = ?", [.integer(change.new), .integer(change.id)])
        }
        try moveKeys(of: owner, changes.map { ($0.old, $0.new) }, connection)
        return changes.map { ($0.old, $0.new) }
    }

    /// Updates idempotency keys, so that a retry gets the new number.
    private func moveKeys(
        of owner: Int64, _ changes: [(old: Int64, new: Int64)], _ connection: isolated MySQLConnection
    ) throws {
        let new = Dictionary(changes.map { ($0.old, $0.new) }, uniquingKeysWith: { $1 })
        guard !new.isEmpty else { return }
        let place = [MySQLValue.integer(table.scope.rawValue), .integer(owner)]
        let keys = try connection.rows(
            """
            SELECT idempotency_key, number FROM idempotency_keys
            WHERE scope = ? AND scope_id = ? AND (number < 1 OR number > \(NumberedTable.lastNumber))
            """, place
        ) { (key: Array($0.bytes(0)), number: $0.integer(1)) }
        for key in keys {
            guard let number = new[key.number] else { continue }
            try connection.execute(
                "UPDATE idempotency_keys SET number = ? WHERE scope = ? AND scope_id = ? AND idempotency_key = ?",
                [.integer(number)] + place + [.bytes(key.key)])
        }
    }
}
