import ChatJobs
import Logging

/// Reconciles every chat and every application once a night, to repair what `SyncCounts` does not notice.
struct Recount: Job {
    static let name = "Recount"
    static var options: JobOptions { .recurring }

    let context: JobContext
    var time = Duration.seconds(3 * 3600)

    func perform(_ arguments: NoArguments) async throws {
        let walk = Walk(chats: .nightlyChats, applications: .nightlyApplications, context: context)
        guard try await walk.run(Stint(time, in: context)) else {
            return context.logger.notice("Nightly walk continues tomorrow")
        }
        try await walk.restart()
    }
}
