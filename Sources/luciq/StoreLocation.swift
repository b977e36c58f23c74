import ChatCluster
import ChatCore
import ChatHTTP
import ChatSQLite
import Logging
import MySQLClient

/// The store's location, which selects the backend.
enum StoreLocation: CustomStringConvertible {
    /// An absolute path.
    case sqlite(path: String)
    case cluster(ClusterConfiguration)

    /// For people; without a password.
    var description: String {
        switch self {
        case .sqlite(let path): path
        case .cluster(let configuration): configuration.mysql.description
        }
    }

    func backend(
        logger: Logger, metrics: PrometheusRegistry = PrometheusRegistry(version: Luciq.version)
    ) async throws -> Backend {
        switch self {
        case .sqlite(let path): try Backend.sqlite(path: path, logger: logger, metrics: metrics)
        case .cluster(let configuration): try await Backend.cluster(configuration, logger: logger, metrics: metrics)
        }
    }

    /// - Returns: the store's keeper. It throws its errors, and does not log them.
    func keeper() -> any StoreKeeper {
        switch self {
        case .sqlite(let path): SQLiteKeeper(path: path)
        case .cluster(let configuration):
            MySQLKeeper(configuration, logger: Logger(label: "luciq") { _ in SwiftLogNoOpLogHandler() })
        }
    }
}
