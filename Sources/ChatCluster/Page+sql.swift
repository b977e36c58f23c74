import ChatCore
import MySQLClient

extension Page {
    /// The SQL keyword for the direction of the walk.
    var walkOrder: String { walksUp ? "ASC" : "DESC" }

    /// Whether a row lies behind the walk's start: one look-up in the index.
    func isPreceded(in table: NumberedTable, of owner: Int64, _ connection: isolated MySQLConnection) throws -> Bool {
        guard let start = walksUp ? after : before else { return false }
        let (comparison, order) = walksUp ? ("<=", "DESC") : (">=", "ASC")
        return try connection.first(
            """
            SELECT 1 FROM \(table.byNumber) WHERE \(table.owner) = ? AND number \(comparison) ? AND batch_id >= 0
            ORDER BY number \(order) LIMIT 1
            """, [.integer(owner), .integer(start)]
        ) { $0.integer(0) } != nil
    }
}
