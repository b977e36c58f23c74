import Logging
import MySQLClient

/// A setting of the database server, or of our user there, that weakens a guarantee. Logged at the start. Settings that
/// make work impossible cause errors by themselves.
struct ServerWeakness: Equatable, Sendable {
    /// The log line, always with the same words.
    let message: String
    /// The server's value.
    let value: String
    let advice: String

    func log(to logger: Logger) {
        logger.warning("\(message)", metadata: ["value": "\(value)", "advice": "\(advice)"])
    }
}

extension ServerFacts {
    /// Room for a statement with one message of 65,535 bytes.
    private static let leastPacket = 128 << 10
    /// Room for a statement with a whole batch (`CommitLimits.batchBytes`).
    private static let goodPacket = 8 << 20
    /// Rights that exempt a user from `read_only`, as `SHOW GRANTS` of MySQL 8 and of MariaDB prints them.
    private static let unbound = ["ALL PRIVILEGES", "SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION_ADMIN"]

    /// - Parameter grants: our user's lines of `SHOW GRANTS`.
    func weaknesses(grants: [String]) -> [ServerWeakness] {
        var found: [ServerWeakness] = []
        if let flush = flushAtCommit, flush != 1 {
            found.append(
                ServerWeakness(
                    message: "innodb_flush_log_at_trx_commit is not 1: answered creates may be lost",
                    value: "\(flush)", advice: "set it to 1"))
        }
        if maxPacket < Self.goodPacket {
            let isTooSmall = maxPacket < Self.leastPacket
            found.append(
                ServerWeakness(
                    message: isTooSmall
                        ? "max_allowed_packet is too small: long messages cannot be stored"
                        : "max_allowed_packet is small: batches are split",
                    value: "\(maxPacket)",
                    advice: "set it to 16777216, the least is \(Self.leastPacket)"))
        }
        if !sqlMode.contains("STRICT_TRANS_TABLES") && !sqlMode.contains("STRICT_ALL_TABLES") {
            found.append(
                ServerWeakness(
                    message: "sql_mode is not strict, though it was set: values may be cut",
                    value: sqlMode.sorted().joined(separator: ","),
                    advice: "check proxies between, and init_connect"))
        }
        if isolation != "READ-COMMITTED" {
            found.append(
                ServerWeakness(
                    message: "The isolation level is not READ COMMITTED, though it was set", value: isolation,
                    advice: "check proxies between, and init_connect"))
        }
        if let right = Self.unbound.first(where: { right in grants.contains { Self.gives(right, $0) } }) {
            found.append(
                ServerWeakness(
                    message:
                        "The database user is not bound by read_only: after a switch-over it may write to the old primary",
                    value: right,
                    advice: "use a user that has rights on its own database only"))
        }
        return found
    }

    /// `GRANT SELECT, SUPER ON *.* TO …`
    private static func gives(_ right: String, _ grant: String) -> Bool {
        guard let rights = grant.firstRange(of: " ON *.* ").map({ grant[..<$0.lowerBound] }) else { return false }
        return rights.dropFirst("GRANT ".count).split(separator: ",").contains {
            $0.trimmingPrefix(" ") == right
        }
    }
}
