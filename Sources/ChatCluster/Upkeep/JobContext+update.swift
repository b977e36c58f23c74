import MySQLClient

/// Rows that an update did not change.
struct Unwritten: Sendable {
    /// Another writer changed at least one row of the same statement: read these rows again.
    var overtaken: Set<Int64> = []
    /// Locked by a long transaction: retry later.
    var locked: Set<Int64> = []

    var isEmpty: Bool { overtaken.isEmpty && locked.isEmpty }
}

extension JobContext {
    /// Updates rows in one statement. If a row is locked for long, halves the list again and again until only the
    /// locked rows are left out.
    ///
    /// - Parameter statement: changes the rows that are still as they were read; returns how many it changed.
    func update<Row: Identifiable<Int64> & Sendable>(
        _ rows: [Row], _ statement: @escaping @Sendable ([Row], isolated MySQLConnection) throws -> Int64
    ) async throws -> Unwritten {
        var unwritten = Unwritten()
        var retry = Retry(patience: .seconds(10))
        var parts = [rows]
        while let part = parts.popLast() {
            guard !part.isEmpty else { continue }
            do throws(MySQLError) {
                let changed = try await store.writes.run(within: .seconds(10)) { try statement(part, $0) }
                if changed != part.count { unwritten.overtaken.formUnion(part.map(\.id)) }
            } catch {
                try Task.checkCancellation()
                if error.kind == .lockTimeout {
                    if part.count == 1 { unwritten.locked.insert(part[0].id) }
                    let half = part.count / 2
                    if half > 0 { parts += [Array(part[half...]), Array(part[..<half])] }
                } else {
                    guard await retry.mayGoOn(after: error) else { throw error }
                    parts.append(part)
                }
            }
        }
        return unwritten
    }
}
