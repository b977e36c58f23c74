import ChatCluster
import Foundation
import MySQLClient
import RedisClient

extension Settings {
    /// The database: `DATABASE_URL`, else the Rails application's `DB_HOST`, else a file in the current folder.
    func storeLocation() throws -> StoreLocation {
        let url = try text(Setup.databaseURL)
        if url.isEmpty {
            let host = try text(Setup.dbHost)
            if !host.isEmpty { return .cluster(try cluster(rails(host: host))) }
            return .sqlite(path: FileManager.default.currentDirectoryPath + "/data/luciq.sqlite")
        }
        if let scheme = url.firstMatch(of: /^([a-z0-9]+):/)?.1, ["mysql", "mysql2", "mariadb"].contains(scheme) {
            let mysql: MySQLConfiguration
            do throws(MySQLConfiguration.Invalid) {
                mysql = try MySQLConfiguration(url: url)
            } catch {
                throw Invalid(description: "DATABASE_URL: \(error.description)")
            }
            return .cluster(try cluster(mysql))
        }
        return .sqlite(path: try sqlitePath(url))
    }

    private func sqlitePath(_ url: String) throws -> String {
        let prefix = "sqlite://"
        guard url.hasPrefix(prefix + "/"), !url.hasSuffix("/") else {
            throw Invalid(
                description:
                    "DATABASE_URL must look like sqlite:///absolute/path/of.sqlite or mysql://user:password@host/database."
            )
        }
        // Resolve links, so that one file has one name.
        return URL(fileURLWithPath: String(url.dropFirst(prefix.count))).resolvingSymlinksInPath().path
    }

    private func rails(host: String) throws -> MySQLConfiguration {
        MySQLConfiguration(
            host: host,
            port: try number(Setup.dbPort, in: 1...65_535),
            user: try text(Setup.dbUsername),
            password: try text(Setup.dbPassword),
            database: try text(Setup.dbName)
        )
    }

    private func cluster(_ mysql: MySQLConfiguration) throws -> ClusterConfiguration {
        guard !mysql.database.isEmpty else {
            throw Invalid(
                description: "DATABASE_URL must end with the database's name: mysql://user:password@host/luciq.")
        }
        let redis = try redis(for: "for a MySQL database")
        var cluster = ClusterConfiguration(mysql: mysql, redis: redis)
        // A little less than a request waits, so that it gets the store's result in time.
        cluster.patience = try seconds(Setup.requestTimeout) * 0.8
        cluster.readConnections = try number(Setup.databasePool, in: 1...256)
        cluster.connectionAge = try seconds(Setup.databaseMaxAge)
        return cluster
    }

    /// - Parameter purpose: ends the sentence of the error: "for a MySQL database".
    func redis(for purpose: String) throws -> RedisConfiguration {
        let url = try text(Setup.redisURL)
        guard !url.isEmpty else {
            throw Invalid(description: "REDIS_URL must be set \(purpose), for example redis://127.0.0.1:6379/0.")
        }
        do throws(RedisConfiguration.Invalid) {
            return try RedisConfiguration(url: url)
        } catch {
            throw Invalid(description: "REDIS_URL: \(error.description)")
        }
    }
}
