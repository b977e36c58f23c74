import ChatCore
import MySQLClient

/// Reads a table of changes, `access_changes` or `member_changes`: each row once, however late it was committed.
///
/// A row has the time of its statement, and its transaction may commit a while later. So each read begins as long before the
/// last one as a transaction may take, and passes over the rows that it knows. What it costs follows the number of changes;
/// what it keeps are the ids of those of that time.
struct ChangeReader<Change: Hashable & Sendable>: Sendable {
    /// Rows per statement.
    private static var page: Int { 1000 }

    private let statement: String
    private let change: @Sendable (borrowing MySQLRow) -> Change
    /// The rows that have been read, by their random ids, with their times.
    private(set) var seen: [Int64: Int64] = [:]

    /// - Parameters:
    ///   - columns: of the table.
    ///   - change: reads a row, whose first two columns are a time and an id.
    init(table: String, columns: String, _ change: @escaping @Sendable (borrowing MySQLRow) -> Change) {
        // By a range of the primary key: (changed_at, id).
        self.statement = """
            SELECT changed_at, id, \(columns) FROM \(table)
            WHERE changed_at >= ? AND (changed_at > ? OR id > ?) ORDER BY changed_at, id LIMIT \(Self.page)
            """
        self.change = change
    }

    /// Passes on the changes that it has not read yet, in pages; the same change of one page once.
    ///
    /// - Parameters:
    ///   - since: in microseconds, as all times here; by the database's clock.
    ///   - end: where it ends, so that others' writes do not keep it up.
    mutating func read(
        since: Int64, upTo end: Int64, from store: MySQLStore, _ tell: (Change) -> Void
    ) async throws {
        seen = seen.filter { $0.value >= since }
        var place = (time: since, id: Int64.min)
        while true {
            let rows = try await store.read { [statement, change, place] connection in
                try connection.rows(
                    statement, [.timestamp(place.time), .timestamp(place.time), .integer(place.id)]
                ) { (time: $0.timestamp(0), id: $0.integer(1), change: change($0)) }
            }
            let new = rows.filter { seen[$0.id] == nil }
            for change in Set(new.map(\.change)) { tell(change) }
            for row in new { seen[row.id] = row.time }
            guard rows.count == Self.page, let last = rows.last, last.time <= end else { return }
            place = (last.time, last.id)
        }
    }
}
