import ChatCore
import MySQLClient

/// Verifies what has changed: heads, changes, tombstones and versions. Each statement sees one moment, because servers
/// run. What is being deleted with its application is left out.
extension MySQLVerifier {
    /// Chats per statement, whose messages are all read.
    private static let chatsAtOnce = 16
    private static let changesAtOnce = 5000
    private static let reactedAtOnce = 1000
    /// The most problems of each kind that are reported.
    private static let told = 1000

    mutating func verifyChanges() async throws {
        try await verifyHeads()
        try await verifyChangeRows()
        try await verifyVersions()
        try await verifyReactions()
    }

    private mutating func verifyHeads() async throws {
        var last: Int64 = 0
        while true {
            let messages = NumberedTable.messages.byNumber
            let heads = try await read { [last] connection in
                try connection.rows(
                    """
                    SELECT heads.chat_id, heads.revision, heads.deleted_count,
                        (SELECT COUNT(*) FROM \(messages) WHERE messages.chat_id = heads.chat_id
                            AND deleted_at IS NOT NULL),
                        (SELECT COUNT(*) FROM \(messages) WHERE messages.chat_id = heads.chat_id
                            AND deleted_at IS NOT NULL
                            AND (body <> '' OR metadata IS NOT NULL OR reactions IS NOT NULL
                                OR mentions <> '[]')),
                        (SELECT COUNT(*) FROM \(messages)
                            LEFT JOIN chat_changes AS changes ON changes.chat_id = messages.chat_id
                                AND kind = \(ChangedItem.Kind.message.rawValue) AND item = number AND user_id = ''
                            WHERE messages.chat_id = heads.chat_id AND GREATEST(IFNULL(content_revision, 0),
                                IFNULL(reactions_revision, 0)) > IFNULL(changes.revision, 0)),
                        (SELECT COUNT(*) FROM \(messages) WHERE messages.chat_id = heads.chat_id
                            AND reactions IS NOT NULL AND NOT EXISTS (SELECT 1 FROM message_reactions AS reacted
                                WHERE reacted.chat_id = messages.chat_id AND reacted.number = messages.number)),
                        IFNULL((SELECT MAX(revision) FROM chat_changes WHERE chat_changes.chat_id = heads.chat_id), 0)
                    FROM chat_heads AS heads
                    JOIN chats ON chats.id = heads.chat_id
                    JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                    WHERE heads.chat_id > ? ORDER BY heads.chat_id LIMIT \(Self.chatsAtOnce)
                    """, [.integer(last)]
                ) { row in (0..<8).map { row.integer($0) } }
            }
            for head in heads {
                report.addProblems(
                    of: ChatChangesFound(
                        chat: head[0], revision: head[1], deletedCount: head[2], tombstones: head[3],
                        fullTombstones: head[4], unlisted: head[5], unbacked: head[6], highest: head[7]))
            }
            guard let end = heads.last else { return }
            last = end[0]
        }
    }

    /// No row is gone that servers had stored. Without Redis nobody remembers.
    mutating func verifyRows() async throws {
        var memory = RowMemory(store: store)
        guard (try? await memory.look()) != nil, memory.isAhead else { return }
        try await Task.sleep(for: RowMemory.patience)
        if (try? await memory.look()) == true { report.add(RowMemory.problem) }
    }

    /// Each change has a head, and its message.
    private mutating func verifyChangeRows() async throws {
        var place: [Int64] = [0, 0]
        var found = 0
        while true {
            let rows = try await read { [place] connection in
                try connection.rows(
                    """
                    SELECT changes.chat_id, item, changes.revision, heads.revision, messages.number,
                        GREATEST(IFNULL(content_revision, 0), IFNULL(reactions_revision, 0))
                    FROM chat_changes AS changes
                    JOIN chats ON chats.id = changes.chat_id
                    JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                    LEFT JOIN chat_heads AS heads ON heads.chat_id = changes.chat_id
                    LEFT JOIN messages ON messages.chat_id = changes.chat_id AND messages.number = item
                    WHERE kind = \(ChangedItem.Kind.message.rawValue)
                    AND (changes.chat_id > ? OR changes.chat_id = ? AND item > ?)
                    ORDER BY changes.chat_id, item LIMIT \(Self.changesAtOnce)
                    """, [.integer(place[0]), .integer(place[0]), .integer(place[1])]
                ) { row in
                    let isWrong = row.isNull(3) || row.isNull(4) || row.integer(5) > row.integer(2)
                    return (chat: row.integer(0), item: row.integer(1), isWrong: isWrong)
                }
            }
            for row in rows where row.isWrong && found < Self.told {
                report.add("Change of message \(row.item) of chat id \(row.chat): it has no head, or not its message")
                found += 1
            }
            guard let end = rows.last, rows.count == Self.changesAtOnce else { return }
            place = [end.chat, end.item]
        }
    }

    private mutating func verifyVersions() async throws {
        let lost = try await read { connection in
            try connection.rows(
                """
                SELECT versions.chat_id, versions.number, versions.revision FROM message_versions AS versions
                JOIN chats ON chats.id = versions.chat_id
                JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                LEFT JOIN messages ON messages.chat_id = versions.chat_id AND messages.number = versions.number
                WHERE messages.number IS NULL OR deleted_at IS NOT NULL
                    OR versions.revision >= IFNULL(content_revision, 0)
                LIMIT \(Self.told)
                """
            ) { row in (0..<3).map { row.integer($0) } }
        }
        for version in lost {
            report.add(
                "Version \(version[2]) of message \(version[1]) of chat id \(version[0]) is not of an earlier content")
        }
    }

    /// The rows of reactions, against what their messages say.
    private mutating func verifyReactions() async throws {
        var place: [Int64] = [0, 0]
        while true {
            let rows = try await read { [place] connection in
                try connection.rows(
                    """
                    SELECT reacted.chat_id, reacted.number, reactions, found,
                        applications.id IS NULL OR applications.removed_at IS NOT NULL FROM (
                        SELECT chat_id, number, COUNT(*) AS found FROM message_reactions
                        WHERE chat_id > ? OR chat_id = ? AND number > ?
                        GROUP BY chat_id, number ORDER BY chat_id, number LIMIT \(Self.reactedAtOnce)) AS reacted
                    LEFT JOIN chats ON chats.id = reacted.chat_id
                    LEFT JOIN applications ON applications.id = chats.application_id
                    LEFT JOIN messages ON messages.chat_id = reacted.chat_id AND messages.number = reacted.number
                    ORDER BY reacted.chat_id, reacted.number
                    """, [.integer(place[0]), .integer(place[0]), .integer(place[1])]
                ) { row in
                    (
                        found: ReactionsFound(
                            chat: row.integer(0), number: row.integer(1), summary: row.isNull(2) ? nil : row.text(2),
                            rows: row.integer(3)), place: [row.integer(0), row.integer(1)],
                        isRemoved: row.integer(4) == 1
                    )
                }
            }
            for row in rows where !row.isRemoved { report.addProblems(of: row.found) }
            guard let end = rows.last, rows.count == Self.reactedAtOnce else { return }
            place = end.place
        }
    }
}
