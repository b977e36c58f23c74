import MySQLClient

/// The number of chats and messages of each application: the sum of its rows in `application_counts`.
///
/// An append adds to one of 64 stripes, chosen at random, in its own transaction. So the counts are exact as soon as a
/// create is answered, whatever happens to Redis, and appends to one application rarely wait for each other.
struct ApplicationCounts {
    let stripe: Int64

    /// - Parameter chats: the application of each new chat.
    func add(chats: [Int64], _ connection: isolated MySQLConnection) throws {
        try add(chats, to: "chats", connection)
    }

    /// - Parameter messages: the application of each new message.
    func add(messages: [Int64], _ connection: isolated MySQLConnection) throws {
        try add(messages, to: "messages", connection)
    }

    /// - Throws: `StripeHeld`, `MySQLError`.
    private func add(_ applications: [Int64], to column: String, _ connection: isolated MySQLConnection) throws {
        let counts = Dictionary(applications.map { ($0, Int64(1)) }, uniquingKeysWith: +)
        do throws(MySQLError) {
            // Always in the same order, so that two appends never deadlock.
            let sorted = counts.sorted { $0.key < $1.key }
            for some in sorted.statements(within: connection.facts.maxPacket) {
                try connection.execute(
                    """
                    INSERT INTO application_counts (application_id, stripe, \(column))
                    VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                    ON DUPLICATE KEY UPDATE \(column) = \(column) + VALUES(\(column))
                    """,
                    some.flatMap { [.integer($0.key), .integer(stripe), .integer($0.value)] })
            }
        } catch {
            guard error.kind == .lockTimeout else { throw error }
            throw StripeHeld(cause: error, applications: Array(counts.keys))
        }
    }
}

extension ApplicationCounts {
    /// The stripes that other transactions hold now; some only for a moment.
    static func held(of applications: [Int64], _ connection: isolated MySQLConnection) throws -> Set<Int64> {
        try connection.transaction { connection in
            var held: Set<Int64> = []
            for application in applications.prefix(16) {
                let query = "SELECT stripe FROM application_counts WHERE application_id = ?"
                let all = try connection.rows(query, [.integer(application)]) { $0.integer(0) }
                let free = try connection.rows(query + " FOR UPDATE SKIP LOCKED", [.integer(application)]) {
                    $0.integer(0)
                }
                held.formUnion(Set(all).subtracting(free))
            }
            return held
        }
    }
}

/// Another transaction holds the stripe: retry at once with another one.
struct StripeHeld: Error {
    let cause: MySQLError
    let applications: [Int64]
}
