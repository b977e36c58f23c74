import ChatCore
import MySQLClient

extension MySQLStore {
    /// Whether a row precedes the start of a page's walk: one look-up in the index, unless void rows precede it.
    func isPreceded(
        _ page: Page, in table: NumberedTable, of owner: Int64, _ connection: isolated MySQLConnection
    ) throws -> Bool {
        guard let behind = page.behind else { return false }
        var isPreceded = false
        var walk = self.walk(table, of: owner, behind)
        try walk.run(limit: 1, connection) { _ in
            isPreceded = true
            return false
        }
        return isPreceded
    }

    /// - Parameter columns: the selected columns; `NumberedWalk.columns` come first.
    func walk(
        _ table: NumberedTable, of owner: Int64, _ page: Page, columns: String = NumberedWalk.columns
    ) -> NumberedWalk {
        NumberedWalk(table, of: owner, page, columns: columns) { scout.explore($0, of: owner, in: table, self) }
    }
}
