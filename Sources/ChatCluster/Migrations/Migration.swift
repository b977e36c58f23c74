import Foundation

/// One step of the schema: a file in Migrations/, identified by its version.
struct Migration: Sendable {
    /// As in `schema_migrations`: `20251027155137`.
    let version: String
    let sql: String
    /// Whether the Rails application may have taken this step.
    let isRails: Bool
    /// Whether the program also works without the step, on servers that do not support it.
    let isOptional: Bool

    /// Every step, in order.
    static let all = [
        Migration("20251027155137", PackageResources._0251027155137_create_applications_sql, isRails: true),
        Migration("20251027195054", PackageResources._0251027195054_create_chats_sql, isRails: true),
        Migration("20251028144809", PackageResources._0251028144809_create_messages_sql, isRails: true),
        Migration("20261122000001", PackageResources._0261122000001_add_batches_sql),
        Migration("20261122000002", PackageResources._0261122000002_add_counts_sql),
        Migration("20261122000003", PackageResources._0261122000003_create_idempotency_keys_sql),
        Migration("20261122000004", PackageResources._0261122000004_create_job_positions_sql),
        Migration("20261128000001", PackageResources._0261128000001_widen_numbers_sql),
        Migration("20261128000002", PackageResources._0261128000002_create_deployment_sql),
        Migration("20261128000003", PackageResources._0261128000003_hide_columns_sql, isOptional: true),
        Migration("20261128000004", PackageResources._0261128000004_create_void_runs_sql),
        Migration("20261129000001", PackageResources._0261129000001_create_log_changes_sql),
        Migration("20261129000002", PackageResources._0261129000002_create_log_cursors_sql),
        Migration("20261129000003", PackageResources._0261129000003_create_search_blocks_sql),
        Migration("20261129000004", PackageResources._0261129000004_add_search_times_sql),
        Migration("20261129000005", PackageResources._0261129000005_create_search_generations_sql),
        Migration("20261130000001", PackageResources._0261130000001_create_access_sql),
        Migration("20261130000002", PackageResources._0261130000002_hide_access_columns_sql, isOptional: true),
        Migration("20261201000001", PackageResources._0261201000001_create_users_sql),
        Migration("20261201000002", PackageResources._0261201000002_hide_user_columns_sql, isOptional: true),
        Migration("20261202000001", PackageResources._0261202000001_add_sender_sql),
        Migration("20261202000002", PackageResources._0261202000002_hide_sender_sql, isOptional: true),
        Migration("20261202000003", PackageResources._0261202000003_add_members_sql),
        Migration("20261202000004", PackageResources._0261202000004_hide_members_sql, isOptional: true),
        Migration("20261203000001", PackageResources._0261203000001_add_lifecycle_sql),
        Migration("20261203000002", PackageResources._0261203000002_hide_lifecycle_columns_sql, isOptional: true),
        Migration("20261204000001", PackageResources._0261204000001_add_rules_sql),
        Migration("20261204000002", PackageResources._0261204000002_hide_rules_sql, isOptional: true),
        Migration("20261205000001", PackageResources._0261205000001_create_audit_heads_sql),
        Migration("20261205000002", PackageResources._0261205000002_add_receipts_sql),
        Migration("20261205000003", PackageResources._0261205000003_hide_receipts_sql, isOptional: true),
        Migration("20261206000001", PackageResources._0261206000001_add_changes_sql),
        Migration("20261206000002", PackageResources._0261206000002_hide_changes_sql, isOptional: true),
        Migration("20261207000001", PackageResources._0261207000001_add_reactions_sql),
        Migration("20261207000002", PackageResources._0261207000002_hide_reactions_sql, isOptional: true),
        Migration("20261208000001", PackageResources._0261208000001_add_reads_sql),
        Migration("20261208000002", PackageResources._0261208000002_hide_reads_sql, isOptional: true),
        Migration("20261209000001", PackageResources._0261209000001_add_epoch_sql),
        Migration("20261210000001", PackageResources._0261210000001_add_mentions_sql),
        Migration("20261210000002", PackageResources._0261210000002_hide_mentions_sql, isOptional: true),
        Migration("20261211000001", PackageResources._0261211000001_add_peak_sql),
        Migration("20261211000002", PackageResources._0261211000002_add_presence_sql),
        Migration("20261211000003", PackageResources._0261211000003_hide_presence_sql, isOptional: true),
    ]

    private init(_ version: String, _ file: [UInt8], isRails: Bool = false, isOptional: Bool = false) {
        self.version = version
        self.sql = String(decoding: file, as: UTF8.self)
        self.isRails = isRails
        self.isOptional = isOptional
    }

    /// The statements, for a server.
    ///
    /// - Parameter collation: MySQL and MariaDB have different names for it.
    func statements(collation: String) -> [String] {
        sql.replacing("{{collation}}", with: collation)
            .split(separator: "\n").filter { !$0.hasPrefix("--") }.joined(separator: "\n")
            .split(separator: ";\n").map { String($0).trimmingCharacters(in: ["\n", ";"]) }.filter { !$0.isEmpty }
    }
}
