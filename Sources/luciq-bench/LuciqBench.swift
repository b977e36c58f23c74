import ArgumentParser
import ChatCluster
import Foundation
import MySQLClient
import RedisClient

/// What `scripts/bench` measures luciq with, and compares it to. No part of the product.
@main
struct LuciqBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "luciq-bench", abstract: "What scripts/bench measures with.",
        subcommands: [Ceiling.self, Fill.self, Inserts.self, NoopJobs.self, Streams.self])

    /// The store that the environment names, as luciq reads it.
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
