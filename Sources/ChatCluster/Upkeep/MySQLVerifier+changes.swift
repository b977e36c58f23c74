import ChatCore
import MySQLClient

/// Verifies what has changed: heads, changes, tombstones and versions. Each statement sees one moment, because servers
/// run. What is being deleted with its application is left out.
extension MySQLVerifier {
    /// Chats per statement, whose messages are all read.
    private static let chatsAtOnce = 16
    private static let changesAtOnce = 5000
    /// The most problems of each kind that are reported.
    private static let told = 1000

    mutating func verifyChanges() async throws {
        try await verifyHeads()
        try await verifyChangeRows()
        try await verifyVersions()
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
                            AND deleted_at IS NOT NULL AND (body <> '' OR metadata IS NOT NULL)),
                        (SELECT COUNT(*) FROM \(messages)
                            LEFT JOIN chat_changes AS changes ON changes.chat_id = messages.chat_id
                                AND kind = \(ChangedItem.Kind.message.rawValue) AND item = number AND user_id = ''
                            WHERE messages.chat_id = heads.chat_id AND content_revision > IFNULL(changes.revision, 0)),
                        IFNULL((SELECT MAX(revision) FROM chat_changes WHERE chat_changes.chat_id = heads.chat_id), 0)
                    FROM chat_heads AS heads
                    JOIN chats ON chats.id = heads.chat_id
                    JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                    WHERE heads.chat_id > ? ORDER BY heads.chat_id LIMIT \(Self.chatsAtOnce)
                    """, [.integer(last)]
                ) { row in (0..<7).map { row.integer($0) } }
            }
            for head in heads {
                report.addProblems(
                    of: ChatChangesFound(
                        chat: head[0], revision: head[1], deletedCount: head[2], tombstones: head[3],
                        fullTombstones: head[4], unlisted: head[5], highest: head[6]))
            }
            guard let end = heads.last else { return }
            last = end[0]
        }
    }

    /// Each change has a head, and its message.
    private mutating func verifyChangeRows() async throws {
        var place: [Int64] = [0, 0]
        var found = 0
        while true {
            let rows = try await read { [place] connection in
                try connection.rows(
                    """
                    SELECT changes.chat_id, item, changes.revision, heads.revision, messages.number, content_revision
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
}
