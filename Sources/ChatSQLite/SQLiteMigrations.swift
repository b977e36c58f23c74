package import GRDB

/// The embedded database's schema, as a list of steps that are taken once each.
package enum SQLiteMigrations {
    package static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration(Migration0001Create.identifier, migrate: Migration0001Create.migrate)
        migrator.registerMigration(Migration0002LogCursors.identifier, migrate: Migration0002LogCursors.migrate)
        return migrator
    }
}
