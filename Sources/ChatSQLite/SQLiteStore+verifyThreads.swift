import ChatCore
import GRDB

extension SQLiteStore {
    /// The most problems of each kind that are reported.
    private static let toldThreads = 1000

    /// Threads against their replies, replies against messages, and read numbers against chats, but for what is being
    /// deleted with its application.
    static func verifyThreads(_ report: inout StoreReport, _ db: Database) throws {
        let heads = try Query(
            db,
            """
            SELECT heads.chat_id, heads.thread, reply_count, last_reply, count(replies.number),
                ifnull(max(replies.number), 0)
            FROM thread_heads AS heads
            JOIN chats ON chats.id = heads.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            LEFT JOIN thread_replies AS replies
                ON replies.chat_id = heads.chat_id AND replies.thread = heads.thread
            GROUP BY heads.chat_id, heads.thread
            HAVING reply_count <> count(replies.number) OR last_reply <> ifnull(max(replies.number), 0)
            LIMIT \(toldThreads)
            """)
        while try heads.next() {
            report.addProblem(
                ofThread: heads.integer(1), in: heads.integer(0), count: heads.integer(2), last: heads.integer(3),
                foundCount: heads.integer(4), foundLast: heads.integer(5))
        }
        let lost = try Query(
            db,
            """
            SELECT replies.chat_id, replies.number FROM thread_replies AS replies
            JOIN chats ON chats.id = replies.chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            LEFT JOIN messages ON messages.chat_id = replies.chat_id AND messages.number = replies.number
            LEFT JOIN thread_heads AS heads ON heads.chat_id = replies.chat_id AND heads.thread = replies.thread
            WHERE messages.thread IS NOT replies.thread OR heads.chat_id IS NULL
            LIMIT \(toldThreads)
            """)
        while try lost.next() { report.addLostReply(lost.integer(1), in: lost.integer(0)) }
        let ahead = try Query(
            db,
            """
            SELECT chat_id, count(*) FROM chat_reads
            JOIN chats ON chats.id = chat_id
            JOIN applications ON applications.id = chats.application_id AND removed_at IS NULL
            WHERE chat_reads.number > last_message_number GROUP BY chat_id LIMIT \(toldThreads)
            """)
        while try ahead.next() { report.addReadAhead(ahead.integer(1), in: ahead.integer(0)) }
    }
}
