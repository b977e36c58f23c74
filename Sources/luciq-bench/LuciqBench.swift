import ArgumentParser
import ChatCluster
import Foundation
import MySQLClient
import RedisClient

/// The tools of `scripts/bench`: clients that measure luciq, and servers to compare it with. Not a part of the product.
@main
struct LuciqBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "luciq-bench", abstract: "The tools of scripts/bench.",
        subcommands: [Ceiling.self, Fill.self, Inserts.self, Load.self, NoopJobs.self, Streams.self])

    /// The store that the environment names, read like luciq does.
    enum Store {
        case sqlite(path: String)
        case cluster(ClusterConfiguration)

        static func named() throws -> Store {
            let environment = ProcessInfo.processInfo.environment
            let (database, redis) = (environment["DATABASE_URL"] ?? "", environment["REDIS_URL"] ?? "")
            if database.hasPrefix("sqlite://") { return .sqlite(path: String(database.dropFirst("sqlite://".count))) }
            return .cluster(
                ClusterConfiguration(
                    mysql: try MySQLConfiguration(url: database), redis: try RedisConfiguration(url: redis)))
        }
    }
}
