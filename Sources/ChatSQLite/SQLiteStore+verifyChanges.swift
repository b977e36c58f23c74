import ChatCore
import GRDB

extension SQLiteStore {
    /// The most problems of each kind that are reported.
    private static let toldChanges = 1000

    /// Heads, changes, tombstones and versions against each other, but for what is being deleted with its application.
    static func verifyChanges(_ report: inout StoreReport, _ db: Database) throws {
        let heads = try Query(
            db,
            """
            SELECT heads.chat_id, heads.revision, heads.deleted_count,
                (SELECT count(*) FROM messages WHERE messages.chat_id = heads.chat_id AND deleted_at IS NOT NULL),
                (SELECT count(*) FROM messages WHERE messages.chat_id = heads.chat_id AND deleted_at IS NOT NULL
                    AND (body <> '' OR metadata IS NOT NULL OR reactions IS NOT NULL OR mentions <> '[]')),
                (SELECT count(*) FROM messages
                    LEFT JOIN chat_changes AS changes ON changes.chat_id = messages.chat_id
                        AND kind = \(ChangedItem.Kind.message.rawValue) AND item = number AND user_id = ''
                    WHERE messages.chat_id = heads.chat_id AND
                        max(ifnull(content_revision, 0), ifnull(reactions_revision, 0)) > ifnull(changes.revision, 0)),
                (SELECT count(*) FROM messages WHERE messages.chat_id = heads.chat_id AND reactions IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM message_reactions AS rows
                        WHERE rows.chat_id = messages.chat_id AND rows.number = messages.number)),
                ifnull((SELECT max(revision) FROM chat_changes WHERE chat_changes.chat_id = heads.chat_id), 0)
            FROM chat_heads AS heads
            JOIN chats ON chats.id = heads.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            ORDER BY heads.chat_id
            """)
        while try heads.next() {
            report.addProblems(
                of: ChatChangesFound(
                    chat: heads.integer(0), revision: heads.integer(1), deletedCount: heads.integer(2),
                    tombstones: heads.integer(3), fullTombstones: heads.integer(4), unlisted: heads.integer(5),
                    unbacked: heads.integer(6), highest: heads.integer(7)))
        }
        let lost = try Query(
            db,
            """
            SELECT changes.chat_id, item FROM chat_changes AS changes
            JOIN chats ON chats.id = changes.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            LEFT JOIN chat_heads AS heads ON heads.chat_id = changes.chat_id
            LEFT JOIN messages ON messages.chat_id = changes.chat_id AND messages.number = item
            WHERE kind = \(ChangedItem.Kind.message.rawValue)
            AND (heads.chat_id IS NULL OR messages.number IS NULL
                OR max(ifnull(content_revision, 0), ifnull(reactions_revision, 0)) > changes.revision)
            LIMIT \(toldChanges)
            """)
        while try lost.next() {
            report.add(
                "Change of message \(lost.integer(1)) of chat id \(lost.integer(0)): it has no head, or not its message"
            )
        }
        let reacted = try Query(
            db,
            """
            SELECT rows.chat_id, rows.number, reactions, count(*) FROM message_reactions AS rows
            JOIN chats ON chats.id = rows.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            LEFT JOIN messages ON messages.chat_id = rows.chat_id AND messages.number = rows.number
            GROUP BY rows.chat_id, rows.number
            """)
        while try reacted.next() {
            report.addProblems(
                of: ReactionsFound(
                    chat: reacted.integer(0), number: reacted.integer(1),
                    summary: reacted.isNull(2) ? nil : reacted.text(2), rows: reacted.integer(3)))
        }
        let versions = try Query(
            db,
            """
            SELECT versions.chat_id, versions.number, versions.revision FROM message_versions AS versions
            JOIN chats ON chats.id = versions.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            LEFT JOIN messages ON messages.chat_id = versions.chat_id AND messages.number = versions.number
            WHERE messages.number IS NULL OR deleted_at IS NOT NULL OR versions.revision >= ifnull(content_revision, 0)
            LIMIT \(toldChanges)
            """)
        while try versions.next() {
            report.add(
                "Version \(versions.integer(2)) of message \(versions.integer(1)) of chat id \(versions.integer(0)) is not "
                    + "of an earlier content")
        }
    }
}
