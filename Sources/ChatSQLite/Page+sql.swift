import ChatCore

extension Page {
    /// The SQL keyword for the direction of the walk.
    var walkOrder: String { walksUp ? "ASC" : "DESC" }

    /// Whether a row precedes the walk's start: one look-up in the table's primary order.
    func isPreceded(in table: String, where owner: String, is id: Int64, _ db: some StatementSource) throws -> Bool {
        guard let behind else { return false }
        return try Query(
            db, "SELECT 1 FROM \(table) WHERE \(owner) = ? AND number > ? AND number < ? LIMIT 1",
            .integer(id), .integer(behind.lowerBound), .integer(behind.upperBound)
        ).next()
    }
}
