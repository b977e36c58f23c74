package import GRDB

/// The steps of the embedded database's schema, each of which runs once.
package enum SQLiteMigrations {
    package static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration(Migration0001Create.identifier, migrate: Migration0001Create.migrate)
        migrator.registerMigration(Migration0002LogCursors.identifier, migrate: Migration0002LogCursors.migrate)
        migrator.registerMigration(
            Migration0003SearchBlocks.identifier, migrate: Migration0003SearchBlocks.migrate)
        migrator.registerMigration(Migration0004SearchTimes.identifier, migrate: Migration0004SearchTimes.migrate)
        migrator.registerMigration(
            Migration0005SearchGenerations.identifier, migrate: Migration0005SearchGenerations.migrate)
        migrator.registerMigration(Migration0006Access.identifier, migrate: Migration0006Access.migrate)
        migrator.registerMigration(Migration0007Users.identifier, migrate: Migration0007Users.migrate)
        migrator.registerMigration(Migration0008Members.identifier, migrate: Migration0008Members.migrate)
        migrator.registerMigration(Migration0009Lifecycle.identifier, migrate: Migration0009Lifecycle.migrate)
        migrator.registerMigration(Migration0010Secrets.identifier, migrate: Migration0010Secrets.migrate)
        migrator.registerMigration(Migration0011Rules.identifier, migrate: Migration0011Rules.migrate)
        migrator.registerMigration(Migration0012Receipts.identifier, migrate: Migration0012Receipts.migrate)
        migrator.registerMigration(Migration0013Changes.identifier, migrate: Migration0013Changes.migrate)
        migrator.registerMigration(Migration0014Reactions.identifier, migrate: Migration0014Reactions.migrate)
        migrator.registerMigration(Migration0015Reads.identifier, migrate: Migration0015Reads.migrate)
        migrator.registerMigration(Migration0016Epoch.identifier, migrate: Migration0016Epoch.migrate)
        migrator.registerMigration(Migration0017Mentions.identifier, migrate: Migration0017Mentions.migrate)
        migrator.registerMigration(Migration0018Peak.identifier, migrate: Migration0018Peak.migrate)
        migrator.registerMigration(Migration0019Presence.identifier, migrate: Migration0019Presence.migrate)
        return migrator
    }
}
