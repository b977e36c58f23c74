import ChatJobs
import MySQLClient

/// Writes `applications.chats_count` and `messages_count` of the applications that changed.
struct SyncApplicationCounts: Job {
    static let name = "SyncApplicationCounts"
    static let aliases = ["ApplicationMessagesSyncWorker"]
    static var options: JobOptions { .recurring }

    let context: JobContext

    func perform(_ arguments: IgnoredArguments) async throws {
        let (context, recount) = (context, ApplicationRecount(context: context))
        let set = DirtySet(key: RedisKey.dirtyApplications, redis: context.redis)
        let sync = MarkedSync(context: context, set: set, epoch: .applicationMarks) { stint in
            var isAtEnd = true
            for (table, name) in [(NumberedTable.chats, JobPosition.Name.chats), (.messages, .messages)] {
                let start = try await JobPosition(name, context).read(orStartAt: {
                    try await RowChanges.start(of: table, context)
                })
                let changes = try await RowChanges.scan(
                    table, after: start.position, limit: .max, stint, context
                ) { owners in
                    let isChats = table == .chats
                    try await set.mark(isChats ? owners : Self.applications(of: owners, context))
                }
                isAtEnd = isAtEnd && changes.isAtEnd
            }
            return isAtEnd
        } recount: {
            try await recount.run($0)
        }
        try await sync.run(within: .seconds(120))
    }

    private static func applications(of chats: [Int64], _ context: JobContext) async throws -> [Int64] {
        try await context.read { connection in
            var applications: Set<Int64> = []
            for some in chats.chunks(of: 256) {
                let ids = some.padded
                applications.formUnion(
                    try connection.rows(
                        "SELECT application_id FROM chats WHERE id IN (\(ids.map { _ in "?" }.joined(separator: ", ")))",
                        ids.map { .integer($0) }
                    ) { $0.integer(0) })
            }
            return Array(applications)
        }
    }
}
