/// Looks for what belongs to no application: walks the owners of the rows of every table (`OwnedTable`), a page at a time,
/// and the keys beside them.
package struct StrayWalk: Sendable {
    /// Owners of a page.
    private static let page = 1000
    /// Rows of one transaction.
    private static let rows = 1000

    private let removals: any TenantRemovals
    private let time = Timekeeper.continuous

    package init(_ removals: any TenantRemovals) { self.removals = removals }

    /// - Parameters:
    ///   - deletes: whether to delete what is found.
    ///   - rest: called after each page with the time that it took.
    ///   - found: called with a sentence about each owner that is missing.
    /// - Returns: how many owners were looked at; one that has rows in several tables counts in each.
    @discardableResult
    package func walk(
        deletes: Bool, rest: (Duration) async throws -> Void = { _ in }, found: (String) -> Void
    ) async throws -> Int64 {
        var count: Int64 = 0
        for table in removals.ownedTables {
            for kind in table.kinds {
                var last: Int64 = 0
                while true {
                    try Task.checkCancellation()
                    let began = time.now()
                    let owners = try await removals.owners(kind, in: table, after: last, limit: Self.page)
                    for owner in try await removals.missing(kind, among: owners) {
                        found("\(table.name) has rows of \(kind) id \(owner), which is gone")
                        guard deletes else { continue }
                        while try await removals.remove(kind, owner, from: table, limit: Self.rows) == Self.rows {
                            try await rest(time.now() - began)
                        }
                    }
                    count += Int64(owners.count)
                    guard owners.count == Self.page, let end = owners.last else { break }
                    last = end
                    try await rest(time.now() - began)
                }
            }
        }
        var cursor: String?
        repeat {
            try Task.checkCancellation()
            let began = time.now()
            let (keys, next) = try await removals.strayKeys(from: cursor, deletes: deletes)
            for key in keys { found("Redis has \(key), whose owner is gone") }
            cursor = next
            if next != nil { try await rest(time.now() - began) }
        } while cursor != nil
        return count
    }
}

/// Proves that deleted applications have left nothing (`luciq verify --deleted`).
package struct RemovalVerifier: Sendable {
    private let removals: any TenantRemovals
    private let generations: any SearchGenerations

    package init(_ store: some TenantRemovals & SearchGenerations) {
        removals = store
        generations = store
    }

    /// Walks everything that belongs to applications; changes nothing.
    ///
    /// - Parameter engine: nil if its documents are not looked at.
    package func verify(_ engine: (any SearchEngine)?) async throws -> DeletedReport {
        var report = DeletedReport()
        for removal in try await removals.removals() {
            report.unfinished += 1
            report.add("The deletion of \(removal.publicID) has begun, and is not finished")
        }
        report.tables = removals.ownedTables.count
        report.owners = try await StrayWalk(removals).walk(deletes: false) { report.add($0) }
        guard let engine else { return report }
        for index in try await generations.generations() where index.state != .retired {
            var last: Tenant.ID?
            while let tenant = try await engine.tenant(after: last, in: index.id) {
                try Task.checkCancellation()
                report.owners += 1
                if try await !removals.missing(.application, among: [tenant.rawValue]).isEmpty {
                    report.add("The search engine has documents of application id \(tenant.rawValue), which is gone")
                }
                last = tenant
            }
        }
        return report
    }
}

/// The findings of `luciq verify --deleted`.
package struct DeletedReport: Codable, Equatable, Sendable {
    package var tables = 0
    /// The owners of rows that were looked at; one that has rows in several tables counts in each.
    package var owners: Int64 = 0
    /// Deletions that have begun and are not finished.
    package var unfinished: Int64 = 0
    package var problemCount: Int64 = 0
    /// One sentence each; the first `StoreReport.listedProblems`.
    package var problems: [String] = []

    package init() {}

    package var isClean: Bool { problemCount == 0 }

    mutating func add(_ problem: String) {
        problemCount += 1
        if problems.count < StoreReport.listedProblems { problems.append(problem) }
    }
}
