import MySQLClient

/// Rows that an update left as they are.
struct Unwritten: Sendable {
    /// Somebody else wrote at the same time, and nobody knows whose is newer: to be looked at again.
    var overtaken: Set<Int64> = []
    /// Held by a transaction that takes its time: to be left alone for a while.
    var locked: Set<Int64> = []

    var isEmpty: Bool { overtaken.isEmpty && locked.isEmpty }
}

extension JobContext {
    /// Updates rows in one statement; where a row is locked for long, its half of them and so on, so that all others are
    /// written.
    ///
    /// - Parameter statement: changes those rows that still are as they were read. Returns how many it changed.
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
