/// An error of the server, the connection or the pool.
package struct MySQLError: Error, CustomStringConvertible, Sendable {
    /// The cases that callers treat differently.
    package enum Kind: Sendable, Equatable {
        /// A duplicate row; the key's name as the server gives it, without the table's.
        case duplicateKey(index: String)
        case foreignKey
        /// The transaction was rolled back because of a conflict: a retry may succeed.
        case deadlock
        case lockTimeout
        /// The server or the transaction is read-only: a replica, or a demoted primary.
        case readOnly
        /// A Galera node that has left its cluster for now: it did not run the statement.
        case notReady
        /// The server failed during a commit: the transaction may be stored or not.
        case commitFailed
        /// A statement exceeds the server's `max_allowed_packet`, or a row the library's limit.
        case packetTooLarge
        case tooManyConnections
        case accessDenied
        case unknownDatabase
        case noSuchTable
        case diskFull
        case shuttingDown
        /// The statement was killed or exceeded the server's time limit. The connection is still usable.
        case interrupted
        /// There is no connection, and no statement was sent.
        case cannotConnect
        /// The connection broke after a statement may have been sent: its outcome is unknown.
        case connectionLost
        /// Too many callers wait for a connection of the pool, or this one waited too long.
        case poolExhausted
        /// The connection or the pool was closed by its owner.
        case closed
        case other
    }

    package let kind: Kind
    /// The server's number (1000 to 1999 and from 3000) or the library's (2000 to 2999 and 5000 to 5999); 0 for none.
    package let number: Int
    /// The server's or the library's text. It may contain a value of the statement, never a password.
    package let message: String
    /// Whether a transaction's `COMMIT` was answered with it. Before that, nothing of the transaction is stored.
    package private(set) var isOfCommit = false

    package var description: String { number == 0 ? message : "\(message) (MySQL error \(number))" }

    package init(_ kind: Kind, _ message: String, number: Int = 0) {
        self.kind = kind
        self.number = number
        self.message = message
    }

    /// The same error, from a `COMMIT`.
    package var ofCommit: MySQLError {
        var error = self
        error.isOfCommit = true
        return error
    }

    /// Whether a statement has exceeded the server's time limit, or that of `MySQLConnection.limitSelects`.
    package var isOverTime: Bool { number == 1969 || number == 3024 }

    /// An error on an open connection. The handshake is over, so a broken connection leaves the statement's outcome open.
    init(number: Int, message: String) {
        let kind = Kind(number: number, message: message)
        self.init(kind == .cannotConnect ? .connectionLost : kind, message, number: number)
    }

    /// An error before the connection was made: nothing was sent, so no outcome is open.
    init(connecting number: Int, message: String) {
        let kind = Kind(number: Self.refusal(in: message) ?? number, message: message)
        let isLibrarys = (2000...2999).contains(number) || (5000...5999).contains(number)
        let isUnknown = kind == .other && isLibrarys
        self.init(kind == .connectionLost || isUnknown ? .cannotConnect : kind, message, number: number)
    }

    /// The server's error from before TLS, which the library forwards as unverified:
    /// "Received error packet before … cannot be verified: 1040 - Too many connections".
    private static func refusal(in message: String) -> Int? {
        guard message.hasPrefix("Received error packet before"), let colon = message.firstRange(of: ": ") else {
            return nil
        }
        return Int(message[colon.upperBound...].prefix { $0.isNumber })
    }
}

extension MySQLError.Kind {
    /// Sources: the lists of server errors of MySQL 8.0 and of MariaDB, the library's errmsg.h, and what MariaDB 10.11 with
    /// Galera 4 answered when its node was cut off.
    init(number: Int, message: String) {
        self =
            switch number {
            case 1022, 1062, 1586: .duplicateKey(index: Self.index(in: message))
            case 1216, 1217, 1451, 1452: .foreignKey
            // 3101: Group Replication found a conflict at the commit, and rolled back. Galera says 1213 to that.
            case 1213, 3101: .deadlock
            case 1205, 3572: .lockTimeout
            case 1207, 1290, 1792, 1836: .readOnly
            // Without those words it is a command that the server does not know.
            case 1047 where message.contains("WSREP"): .notReady
            // 3100: a hook of replication failed.
            case 1180, 3100: .commitFailed
            case 1153, 2020: .packetTooLarge
            case 1040, 1203, 1226: .tooManyConnections
            case 1044, 1045, 1130, 1142, 1143, 1227, 1698, 1820, 1862, 3118, 4151: .accessDenied
            case 1049: .unknownDatabase
            case 1146: .noSuchTable
            case 3, 20, 1021, 1026, 1114: .diskFull
            // "Got error 28 from storage engine": the system's ENOSPC.
            case 1030 where message.contains("error 28 "): .diskFull
            case 1053, 1079, 3168: .shuttingDown
            case 1317, 1969, 3024: .interrupted
            case 1129, 2001...2005, 2007, 2009, 2012, 2026, 2049, 2059, 2061, 3159: .cannotConnect
            // 1927, 3169 and 4031 say that the connection was killed or timed out, perhaps in the middle of a commit.
            case 1152, 1158...1161, 1184, 1927, 2006, 2013, 2027, 2055, 3169, 4031, 5013, 5014: .connectionLost
            default: .other
            }
    }

    /// Whether the connection is unusable after this error.
    var isFatal: Bool {
        switch self {
        case .connectionLost, .shuttingDown, .cannotConnect, .packetTooLarge: true
        // The server may be down for long, and there may be others.
        case .notReady, .commitFailed: true
        default: false
        }
    }

    /// The key in "Duplicate entry '42-7' for key 'messages.index_on_chat_id'", whatever the language: what is quoted
    /// last. MySQL puts the table before it since 8.0.19, MariaDB does not.
    private static func index(in message: String) -> String {
        guard let end = message.lastIndex(of: "'") else { return "" }
        guard let start = message[..<end].lastIndex(of: "'") else { return "" }
        let quoted = message[message.index(after: start)..<end]
        return String(quoted.split(separator: ".", maxSplits: 1).last ?? "")
    }
}
