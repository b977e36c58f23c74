import ChatCore
import GRDB
import Testing

@testable import ChatSQLite

/// The list that deletions go by, against the schema.
@Suite struct OwnedTableTests {
    /// A table with a column for an owner belongs on the list, or its rows would stay.
    @Test func everyTableWithAnOwnerIsOnTheList() async throws {
        let test = try await TestStore()
        let owned = try await test.store.pool.read { db in
            try String.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT tables.name FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
                    WHERE tables.type = 'table' AND columns.name IN ('application_id', 'chat_id', 'scope_id')
                    """)
        }
        // Each row of `removals` is a deletion under way, and goes with its end.
        #expect(Set(owned).subtracting(["removals"]) == Set(OwnedTable.embedded.map(\.name)))
    }

    /// Else each step of a deletion would scan the table.
    @Test func theOwnersAreIndexed() async throws {
        let test = try await TestStore()
        for table in OwnedTable.embedded where table.isIndexed {
            let condition =
                switch table.owner {
                case .application: "application_id = 1"
                case .chat: "chat_id = 1"
                case .scope: "scope = 'chat' AND scope_id = 1"
                }
            let plan = try await test.store.pool.read { db in
                try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN SELECT 1 FROM \(table.name) WHERE \(condition)")
                    .map { $0["detail"] as String }
            }
            #expect(plan.allSatisfy { $0.hasPrefix("SEARCH ") }, "\(table.name): \(plan)")
        }
    }
}
