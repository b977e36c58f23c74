import ChatJobs
import Logging

/// Repairs what `SyncCounts` does not notice, such as rows and columns written by other programs. It first walks all
/// chats and applications of a database once, in as many runs as that takes. After that each run checks a few chats,
/// and applications after the last chat.
struct Reconcile: Job {
    static let name = "Reconcile"
    static var options: JobOptions { .recurring }

    /// Chunks of the walk per run.
    private static let chunks = 16
    /// The stripes of an application with more chats are left to the nightly walk.
    private static let chatsAtMost = 100_000

    let context: JobContext
    var time = Duration.seconds(240)

    func perform(_ arguments: NoArguments) async throws {
        let stint = Stint(time, in: context)
        let first = Walk(chats: .firstChats, applications: .firstApplications, context: context)
        guard try await first.run(stint) else {
            return context.logger.notice("First walk continues in the next run")
        }
        let endless = Walk(
            chats: .endlessChats, applications: .endlessApplications, chatsAtMost: Self.chatsAtMost, context: context)
        if try await endless.run(stint, chunks: Self.chunks) { try await endless.restart() }
    }
}
