import ChatCore
import MySQLClient

/// Verifies threads against their replies, replies against messages, and read numbers against chats. Each statement sees one
/// moment, because servers run. What is being deleted with its application is left out.
extension MySQLVerifier {
    private static let threadsAtOnce = 1000
    private static let repliesAtOnce = 5000
    /// The most problems of each kind that are reported.
    private static let told = 1000

    mutating func verifyThreads() async throws {
        try await verifyThreadHeads()
        try await verifyReplies()
        try await verifyReads()
    }

    private mutating func verifyThreadHeads() async throws {
        var place: [Int64] = [0, 0]
        while true {
            let heads = try await read { [place] connection in
                try connection.rows(
                    """
                    SELECT heads.chat_id, heads.thread, heads.reply_count, heads.last_reply,
                        (SELECT COUNT(*) FROM thread_replies AS replies
                            WHERE replies.chat_id = heads.chat_id AND replies.thread = heads.thread),
                        IFNULL((SELECT MAX(number) FROM thread_replies AS replies
                            WHERE replies.chat_id = heads.chat_id AND replies.thread = heads.thread), 0)
                    FROM thread_heads AS heads
                    JOIN chats ON chats.id = heads.chat_id
                    JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                    WHERE heads.chat_id > ? OR heads.chat_id = ? AND heads.thread > ?
                    ORDER BY heads.chat_id, heads.thread LIMIT \(Self.threadsAtOnce)
                    """, [.integer(place[0]), .integer(place[0]), .integer(place[1])]
                ) { row in (0..<6).map { row.integer($0) } }
            }
            for head in heads where head[2] != head[4] || head[3] != head[5] {
                report.addProblem(
                    ofThread: head[1], in: head[0], count: head[2], last: head[3], foundCount: head[4],
                    foundLast: head[5])
            }
            guard let end = heads.last, heads.count == Self.threadsAtOnce else { return }
            place = [end[0], end[1]]
        }
    }

    private mutating func verifyReplies() async throws {
        var place: [Int64] = [0, 0, 0]
        var found = 0
        while true {
            let rows = try await read { [place] connection in
                try connection.rows(
                    """
                    SELECT replies.chat_id, replies.thread, replies.number,
                        messages.thread = replies.thread AND heads.chat_id IS NOT NULL
                    FROM thread_replies AS replies
                    JOIN chats ON chats.id = replies.chat_id
                    JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                    LEFT JOIN messages ON messages.chat_id = replies.chat_id AND messages.number = replies.number
                    LEFT JOIN thread_heads AS heads
                        ON heads.chat_id = replies.chat_id AND heads.thread = replies.thread
                    WHERE replies.chat_id > ? OR replies.chat_id = ?
                        AND (replies.thread > ? OR replies.thread = ? AND replies.number > ?)
                    ORDER BY replies.chat_id, replies.thread, replies.number LIMIT \(Self.repliesAtOnce)
                    """,
                    [
                        .integer(place[0]), .integer(place[0]), .integer(place[1]), .integer(place[1]),
                        .integer(place[2]),
                    ]
                ) { row in (place: (0..<3).map { row.integer($0) }, isRight: !row.isNull(3) && row.integer(3) == 1) }
            }
            for row in rows where !row.isRight && found < Self.told {
                report.addLostReply(row.place[2], in: row.place[0])
                found += 1
            }
            guard let end = rows.last, rows.count == Self.repliesAtOnce else { return }
            place = end.place
        }
    }

    private mutating func verifyReads() async throws {
        let ahead = try await read { connection in
            try connection.rows(
                """
                SELECT highest.chat_id, COUNT(*) FROM (
                    SELECT chat_id, number, IFNULL((
                        SELECT messages.number FROM \(NumberedTable.messages.byNumber)
                        WHERE messages.chat_id = chat_reads.chat_id AND messages.number <= \(NumberedTable.lastNumber)
                        ORDER BY messages.number DESC LIMIT 1), 0) AS last
                    FROM chat_reads) AS highest
                JOIN chats ON chats.id = highest.chat_id
                JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
                WHERE highest.number > highest.last GROUP BY highest.chat_id LIMIT \(Self.told)
                """
            ) { (chat: $0.integer(0), count: $0.integer(1)) }
        }
        for row in ahead { report.addReadAhead(row.count, in: row.chat) }
    }
}
