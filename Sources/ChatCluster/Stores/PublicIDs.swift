import ChatCore
import MySQLClient

/// Gives public ids to applications without one: those of the Rails application, and of servers of before the column. A
/// statement for each row, in short transactions, so that running servers do not wait.
enum PublicIDs {
    private static let batch: Int64 = 100

    /// Leaves those alone that have one by now.
    static func give(to tenants: [Tenant.ID], _ connection: isolated MySQLConnection) throws {
        for tenant in tenants {
            try connection.execute(
                "UPDATE applications SET public_id = ? WHERE id = ? AND public_id IS NULL",
                [.text(Tenant.PublicID.random().text), .integer(tenant.rawValue)])
        }
    }

    /// All that have none; found by the index of public ids.
    static func giveToAll(_ connection: isolated MySQLConnection) throws {
        while true {
            let nameless = try connection.rows(
                "SELECT id FROM applications WHERE public_id IS NULL LIMIT ?", [.integer(batch)]
            ) { Tenant.ID($0.integer(0)) }
            if nameless.isEmpty { return }
            try Migrator.undisturbed { try connection.transaction { try give(to: nameless, $0) } }
        }
    }
}
