import ChatCore
import MySQLClient

extension MySQLStore: SearchGenerations {
    /// Cursors that one statement removes.
    private static let removedAtOnce = 1000
    /// Changes since the last sweep that a search looks through.
    private static let changesLookedAt = 20_000
    /// Chats that have changed, for each that the engine may lack messages of: most are fed already.
    private static let changedPerUnfed = 16
    /// Chats per statement.
    private static let chatsAtOnce = 256

    func generations() async throws -> [SearchGeneration] {
        try await read(.searchEngine) { connection in
            try connection.rows("SELECT \(Self.generationColumns) FROM search_generations", []) {
                Self.generation($0)
            }.compactMap(\.self)
        }
    }

    func begin(_ generation: SearchGeneration) async throws -> Bool {
        try await write { connection in
            do throws(MySQLError) {
                try connection.execute(
                    "INSERT INTO search_generations (state, id, fold_version, marker) VALUES (?, ?, ?, ?)",
                    [
                        .text(SearchGeneration.State.building.rawValue), .text(generation.id.text),
                        .integer(Int64(generation.foldVersion)), .integer(generation.marker),
                    ])
                return true
            } catch {
                guard error.isDuplicate else { throw error }
                return false
            }
        }
    }

    func confirm(_ marker: Int64, of generation: SearchGeneration.ID) async throws -> Bool {
        try await write { connection in
            try connection.execute(
                "UPDATE search_generations SET marker = GREATEST(marker, ?) WHERE id = ?",
                [.integer(marker), .text(generation.text)])
            // A row that has this marker already does not count as affected.
            return try connection.first(
                "SELECT marker FROM search_generations WHERE id = ?", [.text(generation.text)]
            ) { $0.integer(0) >= marker } ?? false
        }
    }

    func promote(_ generation: SearchGeneration.ID) async throws -> Bool {
        try await changed { connection in
            let isBuilding = try connection.first(
                "SELECT 1 FROM search_generations WHERE id = ? AND state = ? FOR UPDATE",
                [.text(generation.text), Self.value(.building)]
            ) { _ in true }
            guard isBuilding == true else { return false }
            try connection.execute(
                "UPDATE search_generations SET state = ? WHERE state = ?", [Self.value(.retired), Self.value(.live)])
            return try connection.execute(
                "UPDATE search_generations SET state = ? WHERE id = ?", [Self.value(.live), .text(generation.text)]
            ).affectedRows == 1
        }
    }

    func retire(_ generation: SearchGeneration.ID) async throws -> Bool {
        try await changed { connection in
            try connection.execute(
                "UPDATE search_generations SET state = ? WHERE id = ?",
                [Self.value(.retired), .text(generation.text)]
            ).affectedRows == 1
        }
    }

    func remove(_ generation: SearchGeneration.ID) async throws {
        for reader in [generation.reader, generation.changeReader] {
            while try await write({ connection in
                try connection.execute(
                    "DELETE FROM log_cursors WHERE reader = ? ORDER BY chat_id LIMIT \(Self.removedAtOnce)",
                    [.text(reader.text)]
                ).affectedRows > 0
            }) {}
        }
        _ = try await write { connection in
            try connection.execute("DELETE FROM search_generations WHERE id = ?", [.text(generation.text)])
        }
    }

    /// One transaction; false if another generation is in that state.
    private func changed(_ body: @Sendable (isolated MySQLConnection) throws -> Bool) async throws -> Bool {
        try await write { connection in
            do {
                return try connection.transaction(body)
            } catch let error as MySQLError where error.isDuplicate {
                return false
            }
        }
    }

    func tenants(of chats: [Chat.ID]) async throws -> [Chat.ID: Tenant.ID] {
        try await read(.searchEngine) { connection in
            var tenants: [Chat.ID: Tenant.ID] = [:]
            for some in chats.chunks(of: Self.chatsAtOnce).map(\.padded) {
                try connection.query(
                    "SELECT id, application_id FROM chats WHERE id IN (\(Self.marks(some.count)))",
                    some.map { .integer($0.rawValue) }
                ) { row in
                    tenants[Chat.ID(row.integer(0))] = Tenant.ID(row.integer(1))
                    return true
                }
            }
            return tenants
        }
    }

    func unfed(
        _ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage, within limits: UnfedLimits
    ) async throws -> (generation: SearchGeneration, hits: TenantHits)? {
        let deadline = ContinuousClock.now + searchDeadline
        return try await snapshot(.searchEngine) { connection in
            let live = try connection.first(
                "SELECT \(Self.generationColumns) FROM search_generations WHERE state = ? AND fold_version = ?",
                [Self.value(.live), .integer(Int64(SearchFold.version))]
            ) { Self.generation($0) }
            guard let generation = live ?? nil,
                let tails = try unfedTails(of: generation.id, in: tenant, within: limits, connection)
            else { return nil }
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            let holes = tails.flatMap { tail in
                tail.numbers.map { Hole(chat: tail.chat.rawValue, numbers: $0) }
            }
            try read(holes, &search, connection)
            let numbers = Dictionary(tails.map { ($0.chat, $0.number) }, uniquingKeysWith: { $1 })
            let (found, hasMore, _) = search.found
            let hits = found.compactMap { place, message in
                numbers[place.chat].map { TenantHit(chat: place.chat, number: $0, message: message) }
            }
            return (generation, TenantHits(hits: hits, hasMore: hasMore))
        }
    }

    /// What follows the reader's cursor in a chat, and what has changed below it.
    private typealias Tail = (chat: Chat.ID, number: Chat.Number, numbers: [ClosedRange<Int64>])

    /// The chats that have changed since the last finished sweep began and are not read to their end. Whatever was
    /// committed before then is below the cursors (`LogReader.sweep`).
    ///
    /// - Returns: nil if there are more than `limits` allow, or the sweep is too long ago.
    private func unfedTails(
        of generation: SearchGeneration.ID, in tenant: Tenant.ID, within limits: UnfedLimits,
        _ connection: isolated MySQLConnection
    ) throws -> [Tail]? {
        let reader = MySQLValue.text(generation.reader.text)
        let swept = try connection.first(
            "SELECT number FROM log_cursors WHERE reader = ? AND chat_id = ?",
            [reader, .integer(Self.sweepRow.rawValue)]
        ) { $0.integer(0) }
        guard let swept else { return nil }
        let now = try LogChanges.now(connection)
        let start = min(swept, now) - LogChanges.overlap
        guard start >= now - LogChanges.kept + Self.slack else { return nil }
        let changes = try connection.first(
            """
            SELECT COUNT(*) FROM (
                SELECT 1 FROM log_changes WHERE changed_at >= ? LIMIT \(Self.changesLookedAt)
            ) AS changes
            """, [.timestamp(start)]
        ) { $0.integer(0) }
        guard let changes, changes < Self.changesLookedAt else { return nil }
        let mostChanged = Self.changedPerUnfed * limits.chats
        // The changes first, and each one's chat by its id, whatever the optimizer thinks: it would rather go through all
        // of the tenant's chats for each change.
        let chats = try connection.rows(
            """
            SELECT chats.id, chats.number, IFNULL(cursors.number, 0), (
                SELECT number FROM \(NumberedTable.messages.byNumber)
                WHERE chat_id = chats.id AND number <= \(NumberedTable.lastNumber) ORDER BY number DESC LIMIT 1),
                IFNULL(changes.number, 0), IFNULL(heads.revision, 0)
            FROM (SELECT DISTINCT scope_id FROM log_changes WHERE changed_at >= ? AND scope = ?) AS changed
            STRAIGHT_JOIN chats FORCE INDEX (PRIMARY) ON chats.id = changed.scope_id
            LEFT JOIN log_cursors AS cursors ON cursors.reader = ? AND cursors.chat_id = chats.id
            LEFT JOIN log_cursors AS changes ON changes.reader = ? AND changes.chat_id = chats.id
            LEFT JOIN chat_heads AS heads ON heads.chat_id = chats.id
            WHERE chats.application_id = ? LIMIT \(mostChanged + 1)
            """,
            [
                .timestamp(start), .integer(IdempotencyTable.Scope.chat.rawValue), reader,
                .text(generation.changeReader.text), .integer(tenant.rawValue),
            ]
        ) { row in
            UnfedChat(
                id: Chat.ID(row.integer(0)), number: Chat.Number(row.integer(1)), cursor: row.integer(2),
                last: row.integer(3), changesCursor: row.integer(4), revision: row.integer(5))
        }
        let unfed = chats.filter { $0.last > $0.cursor || $0.revision > $0.changesCursor }
        guard chats.count <= mostChanged, unfed.count <= limits.chats,
            unfed.reduce(0, { $0 + max(0, $1.last - $1.cursor) }) <= limits.messages
        else { return nil }
        var left = limits.changes
        var tails: [Tail] = []
        for chat in unfed {
            var numbers = chat.last > chat.cursor ? [chat.cursor + 1...chat.last] : []
            if chat.revision > chat.changesCursor {
                let changed = try changedNumbers(of: chat, most: left, connection)
                left -= Int64(changed.count)
                guard left >= 0 else { return nil }
                numbers += changed.map { $0...$0 }
            }
            tails.append((chat.id, chat.number, numbers))
        }
        return tails
    }

    private struct UnfedChat: Sendable {
        let id: Chat.ID
        let number: Chat.Number
        let cursor: Int64
        let last: Int64
        /// A revision.
        let changesCursor: Int64
        let revision: Int64
    }

    /// The messages below the cursor that have changed since they were sent; one more than `most` if there are more.
    private func changedNumbers(
        of chat: UnfedChat, most: Int64, _ connection: isolated MySQLConnection
    ) throws -> [Int64] {
        try connection.rows(
            """
            SELECT item FROM chat_changes WHERE chat_id = ? AND revision > ? AND kind = ? AND item <= ?
            ORDER BY revision LIMIT ?
            """,
            [
                .integer(chat.id.rawValue), .integer(chat.changesCursor),
                .integer(ChangedItem.Kind.message.rawValue), .integer(chat.cursor), .integer(most + 1),
            ]
        ) { $0.integer(0) }
    }

    func hits(at places: [SearchPlace], in tenant: Tenant.ID) async throws -> [TenantHit] {
        try await read(.searchEngine) { connection in
            var numbers: [Chat.ID: Chat.Number] = [:]
            for some in Array(Set(places.map(\.chat))).chunks(of: Self.chatsAtOnce).map(\.padded) {
                try connection.query(
                    "SELECT id, number FROM chats WHERE id IN (\(Self.marks(some.count))) AND application_id = ?",
                    some.map { .integer($0.rawValue) } + [.integer(tenant.rawValue)]
                ) { row in
                    numbers[Chat.ID(row.integer(0))] = Chat.Number(row.integer(1))
                    return true
                }
            }
            let keys = places.filter { numbers[$0.chat] != nil }.map {
                MessageLookups.Key(chat: $0.chat, number: $0.number)
            }
            var found: [MessageLookups.Key: Message] = [:]
            for some in keys.chunks(of: MessageLookups.most) {
                found.merge(try MessageLookups.read(Array(some), connection)) { $1 }
            }
            return keys.compactMap { key in
                guard let message = found[key], let number = numbers[key.chat] else { return nil }
                return TenantHit(chat: key.chat, number: number, message: message)
            }
        }
    }

    func unfedCount(of generation: SearchGeneration.ID) async throws -> Int64 {
        try await scan(.searchEngine, within: .seconds(60)) { connection in
            var (count, last) = (Int64(0), Int64(0))
            while true {
                let chats = try connection.rows(
                    """
                    SELECT id, IFNULL((
                        SELECT number FROM \(NumberedTable.messages.byNumber)
                        WHERE chat_id = chats.id AND number <= \(NumberedTable.lastNumber)
                        ORDER BY number DESC LIMIT 1), 0) - IFNULL((
                            SELECT number FROM log_cursors WHERE reader = ? AND chat_id = chats.id), 0)
                    FROM chats WHERE id > ? ORDER BY id LIMIT \(Self.chatsAtOnce)
                    """, [.text(generation.reader.text), .integer(last)]
                ) { ($0.integer(0), $0.integer(1)) }
                count += chats.reduce(0) { $0 + max(0, $1.1) }
                guard let end = chats.last?.0 else { return count }
                last = end
            }
        }
    }

    private static let generationColumns = "id, state, fold_version, marker"

    private static func value(_ state: SearchGeneration.State) -> MySQLValue { .text(state.rawValue) }

    private static func marks(_ count: Int) -> String { Array(repeating: "?", count: count).joined(separator: ", ") }

    /// - Returns: nil for a state that this version does not know.
    private static func generation(_ row: borrowing MySQLRow) -> SearchGeneration? {
        SearchGeneration.State(rawValue: row.text(1)).map {
            SearchGeneration(
                id: SearchGeneration.ID(row.text(0)), state: $0, foldVersion: Int(row.integer(2)),
                marker: row.integer(3))
        }
    }
}
