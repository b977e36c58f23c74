import Logging
import MySQLClient

/// Something about the database server, or our user there, that weakens a promise. It is told at the start; what would
/// make work impossible shows itself.
struct ServerWeakness: Equatable, Sendable {
    /// For a log: the same words each time.
    let message: String
    /// As the server has it.
    let value: String
    let advice: String

    func log(to logger: Logger) {
        logger.warning("\(message)", metadata: ["value": "\(value)", "advice": "\(advice)"])
    }
}

extension ServerFacts {
    /// A message of 65,535 bytes with what is around it, in one statement.
    private static let leastPacket = 128 << 10
    /// A whole batch in one statement (`CommitLimits.batchBytes`), with what is around it.
    private static let goodPacket = 8 << 20
    /// Rights that `read_only` does not bind, as `SHOW GRANTS` of MySQL 8 and of MariaDB has them.
    private static let unbound = ["ALL PRIVILEGES", "SUPER", "READ_ONLY ADMIN", "READ ONLY ADMIN", "CONNECTION_ADMIN"]

    /// - Parameter grants: of our user, as `SHOW GRANTS` has them.
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
                    advice: "see what stands between, and its init_connect"))
        }
        if isolation != "READ-COMMITTED" {
            found.append(
                ServerWeakness(
                    message: "The isolation level is not READ COMMITTED, though it was set", value: isolation,
                    advice: "see what stands between, and its init_connect"))
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
