import ChatCore
import MySQLClient

extension NumberedAppend {
    /// Confirms that the owners' ids still mean what they meant when the requests arrived. After a failover that lost
    /// rows the new server assigns the lost ids again: a request to a lost chat must not reach another tenant's chat.
    ///
    /// The result is valid in one epoch; `NumberedLog.run(in:)` does nothing in another.
    mutating func confirmOwners() async throws(MySQLError) {
        let now = log.pool.epoch
        guard epoch != now else { return }
        if log.known.follow(now) {
            log.spares.forget()
            log.changes.forget()
        }
        let doubtful = batch.open.filter { entry in entries[entry].origin.map { $0.epoch != now } ?? false }
        if !doubtful.isEmpty {
            let owners = Array(Set(doubtful.map { batch.owners[$0] }))
            let names = try await log.run(in: now, within: retry.remaining) { [log] in try log.names(of: owners, $0) }
            for entry in doubtful where !names.has(entries[entry]) {
                fates[entry] = .refused(.notFound)
                batch.settle(entry)
            }
            let open = Set(batch.open.map { batch.owners[$0] })
            batch.forget(owners.filter { !open.contains($0) })
        }
        epoch = now
    }

    /// Deletes Redis' counters of owners that have no rows, and of which this process has learned nothing since the
    /// server changed: they may be counters of lost owners.
    mutating func dropLostCounters() async throws(MySQLError) {
        guard log.pool.epoch != 0 else { return }
        let unknown = batch.wanted.map(\.owner).filter { log.known[$0] == 0 && batch.highest(of: $0) == 0 }
        guard !unknown.isEmpty else { return }
        let highest = try await log.highestNumbers(of: unknown, within: retry.remaining)
        await log.numbers.forget(unknown.filter { highest[$0] == nil })
    }
}

/// The tokens and numbers by which clients name owners.
struct OwnerNames: Sendable {
    struct Name: Sendable {
        /// The one of now, and the one of before: a process may not know yet that a token was replaced.
        let tokens: [String]
        /// 0 for an application.
        let number: Int64
    }

    var names: [Int64: Name] = [:]

    func has(_ entry: some NumberedEntry) -> Bool {
        guard let origin = entry.origin else { return true }
        guard let name = names[entry.owner] else { return false }
        return name.number == origin.chat?.rawValue ?? 0 && name.tokens.contains(origin.token.text)
    }
}

extension NumberedLog {
    /// Runs one access within an epoch: on a connection to the server that assigned the ids.
    ///
    /// - Throws: `.cannotConnect`, without doing anything, if another epoch has begun.
    func run<Result: Sendable>(
        in epoch: UInt64, within time: Duration, _ body: @Sendable (isolated MySQLConnection) throws -> Result
    ) async throws(MySQLError) -> Result {
        try await pool.run(within: time) { [pool] connection in
            guard pool.epoch == epoch else { throw MySQLError(.cannotConnect, "The database server has changed") }
            return try body(connection)
        }
    }

    /// Token and number of each owner, in one row.
    func names(of owners: [Int64], _ connection: isolated MySQLConnection) throws -> OwnerNames {
        var found = OwnerNames()
        for some in owners.chunks(of: 256).map(\.padded) {
            try connection.query(
                table.naming + " WHERE owners.id IN (\(some.map { _ in "?" }.joined(separator: ", ")))",
                some.map { .integer($0) }
            ) { row in
                found.names[row.integer(0)] = OwnerNames.Name(
                    tokens: [row.text(1), row.text(3)], number: row.integer(2))
                return true
            }
        }
        return found
    }
}

extension NumberedTable {
    /// A query for an owner's id, its application's token, its own number, and the application's token of before.
    fileprivate var naming: String {
        switch scope {
        case .chat:
            """
            SELECT owners.id, applications.token, owners.number, applications.old_token FROM chats AS owners
            JOIN applications ON applications.id = owners.application_id
            """
        case .application: "SELECT owners.id, owners.token, 0, owners.old_token FROM applications AS owners"
        }
    }
}
