import ChatJobs

/// Writes `chats.messages_count` of the chats that changed.
struct SyncChatCounts: Job {
    static let name = "SyncChatCounts"
    static let aliases = ["ChatMessagesSyncWorker"]
    static var options: JobOptions { .recurring }

    let context: JobContext

    func perform(_ arguments: IgnoredArguments) async throws {
        let (context, recount) = (context, ChatRecount(context: context))
        let set = DirtySet(key: RedisKey.dirtyChats, redis: context.redis)
        let sync = MarkedSync(context: context, set: set, epoch: .chatMarks) { stint in
            let start = try await JobPosition(.messages, context).read(orStartAt: {
                try await RowChanges.start(of: .messages, context)
            })
            return try await RowChanges.scan(.messages, after: start.position, limit: .max, stint, context) {
                try await set.mark($0)
            }.isAtEnd
        } recount: {
            try await recount.run($0).unwritten
        }
        try await sync.run(within: .seconds(120))
    }
}

extension JobOptions {
    /// Of what comes again by the clock: what fails for long must not pile up.
    static var recurring: JobOptions {
        var options = JobOptions()
        options.retries = 3
        return options
    }
}
