import MySQLClient

/// How many chats and messages each application has: the sum of its rows in `application_counts`.
///
/// An append adds to one of 64 stripes, chosen by chance, in its own transaction. So the counts are exact the moment a
/// create is answered, whatever happens to Redis, and appends to one application seldom wait for one another.
struct ApplicationCounts {
    private static let stripes: Int64 = 64

    private let stripe: Int64

    init(stripeOf batchID: Int64) { self.stripe = batchID % Self.stripes }

    /// - Parameter chats: the application of each new chat.
    func add(chats: [Int64], _ connection: isolated MySQLConnection) throws {
        try add(chats, to: "chats", connection)
    }

    /// - Parameter messages: the application of each new message.
    func add(messages: [Int64], _ connection: isolated MySQLConnection) throws {
        try add(messages, to: "messages", connection)
    }

    private func add(_ applications: [Int64], to column: String, _ connection: isolated MySQLConnection) throws {
        let counts = Dictionary(applications.map { ($0, Int64(1)) }, uniquingKeysWith: +)
        // In one order, so that two appends never wait for each other in a circle.
        for some in counts.sorted(by: { $0.key < $1.key }).chunks(of: 256) {
            try connection.execute(
                """
                INSERT INTO application_counts (application_id, stripe, \(column))
                VALUES \(some.map { _ in "(?, ?, ?)" }.joined(separator: ", "))
                ON DUPLICATE KEY UPDATE \(column) = \(column) + VALUES(\(column))
                """,
                some.flatMap { [.integer($0.key), .integer(stripe), .integer($0.value)] })
        }
    }
}
