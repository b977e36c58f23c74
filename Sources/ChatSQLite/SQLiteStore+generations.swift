package import ChatCore
import GRDB

extension SQLiteStore: SearchGenerations {
    /// Cursors that one transaction removes, while creates wait.
    private static let removedAtOnce = 1000
    /// Chats that have changed, for each that the engine may lack messages of: most are fed already.
    private static let changedPerUnfed = 16

    package func generations() async throws -> [SearchGeneration] {
        try read(.searchEngine) { db in
            let query = try Query(db, "SELECT \(Self.generationColumns) FROM search_generations")
            var generations: [SearchGeneration] = []
            while try query.next() {
                if let generation = Self.generation(query) { generations.append(generation) }
            }
            return generations
        }
    }

    package func begin(_ generation: SearchGeneration) async throws -> Bool {
        try await changed { db in
            try Query(
                db, "INSERT OR IGNORE INTO search_generations (state, id, fold_version, marker) VALUES (?, ?, ?, ?)",
                .text(SearchGeneration.State.building.rawValue), .text(generation.id.text),
                .integer(Int64(generation.foldVersion)), .integer(generation.marker)
            ).run()
        }
    }

    package func confirm(_ marker: Int64, of generation: SearchGeneration.ID) async throws -> Bool {
        try await changed { db in
            try Query(
                db, "UPDATE search_generations SET marker = max(marker, ?) WHERE id = ?", .integer(marker),
                .text(generation.text)
            ).run()
        }
    }

    package func promote(_ generation: SearchGeneration.ID) async throws -> Bool {
        try await changed { db in
            let states = [SearchGeneration.State.building, .live, .retired].map { Query.Value.text($0.rawValue) }
            let query = try Query(
                db,
                """
                SELECT 1 FROM search_generations WHERE id = ? AND state = ?
                    AND NOT EXISTS (SELECT 1 FROM search_generations WHERE state = ?)
                """, .text(generation.text), states[0], states[2])
            guard try query.next() else { return }
            for (old, new) in [(1, 2), (0, 1)] {
                try Query(
                    db, "UPDATE search_generations SET state = ? WHERE state = ?", states[new], states[old]
                ).run()
            }
        }
    }

    package func retire(_ generation: SearchGeneration.ID) async throws -> Bool {
        try await changed { db in
            try Query(
                db, "UPDATE OR IGNORE search_generations SET state = ? WHERE id = ?",
                .text(SearchGeneration.State.retired.rawValue), .text(generation.text)
            ).run()
        }
    }

    package func remove(_ generation: SearchGeneration.ID) async throws {
        for reader in [generation.reader, generation.changeReader].map({ Query.Value.text($0.text) }) {
            while try await changed({ db in
                try Query(
                    db,
                    """
                    DELETE FROM log_cursors WHERE reader = ? AND chat_id IN (
                        SELECT chat_id FROM log_cursors WHERE reader = ? LIMIT \(Self.removedAtOnce))
                    """, reader, reader
                ).run()
            }) {}
        }
        _ = try await changed { db in
            try Query(db, "DELETE FROM search_generations WHERE id = ?", .text(generation.text)).run()
        }
        changed.forget(generation.reader)
    }

    /// One durable transaction.
    ///
    /// - Returns: whether its last statement changed a row.
    private func changed(_ body: @escaping @Sendable (Database) throws -> Void) async throws -> Bool {
        try await Task(executorPreference: writeThread) {
            try write { db in
                let before = db.totalChangesCount
                try body(db)
                return db.totalChangesCount > before
            }
        }.value
    }

    package func tenants(of chats: [Chat.ID]) async throws -> [Chat.ID: Tenant.ID] {
        try read(.searchEngine) { db in
            let query = try Query(db, "SELECT application_id FROM chats WHERE id = ?")
            var tenants: [Chat.ID: Tenant.ID] = [:]
            for chat in chats {
                try query.rebind(.integer(chat.rawValue))
                if try query.next() { tenants[chat] = Tenant.ID(query.integer(0)) }
            }
            return tenants
        }
    }

    package func unfed(
        _ query: SearchQuery, in tenant: Tenant.ID, page: TenantSearchPage, within limits: UnfedLimits
    ) async throws -> (generation: SearchGeneration, hits: TenantHits)? {
        let deadline = ContinuousClock.now + searchDeadline
        // Not on the connections of searches, which take longer.
        return try read(.searchEngine) { db in
            guard let live = try Self.live(db),
                let changed = changed.unseen(by: live.id.reader, in: tenant),
                changed.count <= Self.changedPerUnfed * limits.chats
            else { return nil }
            let place = try Query(
                db,
                """
                SELECT chats.number, ifnull(cursors.number, 0), last_message_number, ifnull(changes.number, 0),
                    ifnull(revision, 0)
                FROM chats
                LEFT JOIN log_cursors AS cursors ON cursors.reader = ? AND cursors.chat_id = id
                LEFT JOIN log_cursors AS changes ON changes.reader = ? AND changes.chat_id = id
                LEFT JOIN chat_heads AS heads ON heads.chat_id = id
                WHERE id = ? AND application_id = ?
                """)
            let changedNumbers = try Query(
                db,
                """
                SELECT item FROM chat_changes
                WHERE chat_id = ? AND revision > ? AND kind = \(ChangedItem.Kind.message.rawValue) AND item <= ?
                """)
            let row = try Query(db, MessageRow.lookUp)
            var search = try TenantSearchWalk(query, page: page, until: deadline)
            var numbers: [Chat.ID: Chat.Number] = [:]
            var (messages, changes): (Int64, Int64) = (0, 0)
            for chat in changed {
                try place.rebind(
                    .text(live.id.reader.text), .text(live.id.changeReader.text), .integer(chat.rawValue),
                    .integer(tenant.rawValue))
                guard try place.next(),
                    place.integer(2) > place.integer(1) || place.integer(4) > place.integer(3)
                else { continue }
                numbers[chat] = Chat.Number(place.integer(0))
                messages += place.integer(2) - place.integer(1)
                guard numbers.count <= limits.chats, messages <= limits.messages else { return nil }
                try changedNumbers.rebind(
                    .integer(chat.rawValue), .integer(place.integer(3)), .integer(place.integer(1)))
                while try changedNumbers.next() {
                    changes += 1
                    guard changes <= limits.changes else { return nil }
                    try row.rebind(.integer(chat.rawValue), .integer(changedNumbers.integer(0)))
                    guard try row.next() else { continue }
                    try search.see(MessageRow.body(row), in: chat) { MessageRow.message(row) }
                }
                let rows = try Self.walk(chat, Page(after: place.integer(1)), limit: -1, db)
                while try rows.next() {
                    try search.see(MessageRow.body(rows), in: chat) { MessageRow.message(rows) }
                }
            }
            // The marker last: each statement has a snapshot of its own, and the marker of a cursor is stored before it.
            guard let generation = try Self.live(db), generation.id == live.id else { return nil }
            let (found, hasMore, _) = search.found
            let hits = found.compactMap { place, message in
                numbers[place.chat].map { TenantHit(chat: place.chat, number: $0, message: message) }
            }
            return (generation, TenantHits(hits: hits, hasMore: hasMore))
        }
    }

    private static func live(_ db: some StatementSource) throws -> SearchGeneration? {
        let query = try Query(
            db, "SELECT \(generationColumns) FROM search_generations WHERE state = ? AND fold_version = ?",
            .text(SearchGeneration.State.live.rawValue), .integer(Int64(SearchFold.version)))
        return try query.next() ? generation(query) : nil
    }

    package func hits(at places: [SearchPlace], in tenant: Tenant.ID) async throws -> [TenantHit] {
        try read(.searchEngine) { db in
            let query = try Query(
                db,
                """
                SELECT \(MessageRow.qualifiedColumns), chats.number
                FROM chats JOIN messages ON chat_id = chats.id
                WHERE chats.id = ? AND application_id = ? AND messages.number = ?
                """)
            var hits: [TenantHit] = []
            for place in places {
                try query.rebind(
                    .integer(place.chat.rawValue), .integer(tenant.rawValue), .integer(place.number.rawValue))
                guard try query.next() else { continue }
                hits.append(
                    TenantHit(
                        chat: place.chat, number: Chat.Number(query.integer(MessageRow.columnCount)),
                        message: MessageRow.message(query)))
            }
            return hits
        }
    }

    package func unfedCount(of generation: SearchGeneration.ID) async throws -> Int64 {
        try await scan { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT ifnull(sum(last_message_number - ifnull(cursors.number, 0)), 0)
                    FROM chats LEFT JOIN log_cursors AS cursors ON reader = ? AND chat_id = id
                    """, arguments: [generation.reader.text]) ?? 0
        }
    }

    private static let generationColumns = "id, state, fold_version, marker"

    /// - Returns: nil for a state that this version does not know.
    private static func generation(_ query: borrowing Query) -> SearchGeneration? {
        SearchGeneration.State(rawValue: query.text(1)).map {
            SearchGeneration(
                id: SearchGeneration.ID(query.text(0)), state: $0, foldVersion: Int(query.integer(2)),
                marker: query.integer(3))
        }
    }
}
