/// Deletes what belongs to applications (`OwnedTable`), in short transactions, each of which may be the last one of its
/// process: the next goes on where it ended.
package protocol TenantRemovals: Sendable {
    /// The tables of this store.
    var ownedTables: [OwnedTable] { get }
    /// The tenant whose deletion is due, the one that waits longest.
    func dueRemoval(at now: Timestamp) async throws -> DueRemoval?
    /// Begins a deletion that is due: from then on nothing names the tenant.
    ///
    /// - Returns: false if it is not due any more.
    func beginRemoval(of tenant: Tenant.ID, at now: Timestamp) async throws -> Bool
    /// Deletes rows of the deletion that began first and has not come to the tenant's own row.
    ///
    /// - Parameter limit: of rows; a few more may go.
    /// - Returns: how many; nil if there is no such deletion.
    func removeSome(limit: Int, at now: Timestamp) async throws -> Int?
    /// The deletions that have begun and are not finished.
    func removals() async throws -> [Removal]
    /// Forgets a deletion of which nothing is left.
    func finish(_ removal: Removal) async throws
    /// The next owners of rows, in the order of their ids.
    func owners(
        _ kind: OwnedTable.Kind, in table: OwnedTable, after id: Int64, limit: Int
    ) async throws -> [Int64]
    /// Those without a row of their own.
    func missing(_ kind: OwnedTable.Kind, among ids: [Int64]) async throws -> [Int64]
    /// Deletes rows of an owner.
    ///
    /// - Returns: how many; at most `limit`.
    func remove(_ kind: OwnedTable.Kind, _ id: Int64, from table: OwnedTable, limit: Int) async throws -> Int
    /// Keys beside the tables whose owner is gone, a part of them at a time.
    ///
    /// - Parameters:
    ///   - cursor: nil at first; then what the call before returned.
    ///   - deletes: whether to delete them.
    /// - Returns: the keys, and nil at the end.
    func strayKeys(from cursor: String?, deletes: Bool) async throws -> (keys: [String], next: String?)
}

package struct DueRemoval: Sendable {
    package let tenant: Tenant.ID
    /// From the request, or the suspension before it, to the deletion.
    package let delay: Duration

    package init(tenant: Tenant.ID, delay: Duration) {
        self.tenant = tenant
        self.delay = delay
    }
}

/// A deletion that has begun.
package struct Removal: Equatable, Sendable {
    package let tenant: Tenant.ID
    package let publicID: String
    package let beganAt: Timestamp
    /// When its own row went; nil before.
    package let emptiedAt: Timestamp?

    package init(tenant: Tenant.ID, publicID: String, beganAt: Timestamp, emptiedAt: Timestamp?) {
        self.tenant = tenant
        self.publicID = publicID
        self.beganAt = beganAt
        self.emptiedAt = emptiedAt
    }
}
