import ChatJobs
import Logging

/// Looks at what no change leads to, a little at a time: rows that somebody else stored, columns that somebody else wrote.
/// A database that was taken over is walked through at once; after that each run takes some chats, and applications when
/// it has been through all chats.
struct Reconcile: Job {
    static let name = "Reconcile"
    static var options: JobOptions { .recurring }

    /// Chunks of a walk a run.
    private static let chunks = 16
    /// The stripes of an application with more chats are left to the night.
    private static let chatsAtMost = 100_000

    let context: JobContext
    var time = Duration.seconds(240)

    func perform(_ arguments: NoArguments) async throws {
        let stint = Stint(time, in: context)
        let first = Walk(chats: .firstChats, applications: .firstApplications, context: context)
        guard try await first.run(stint) else {
            return context.logger.notice("The first walk goes on at the next run")
        }
        let endless = Walk(
            chats: .endlessChats, applications: .endlessApplications, chatsAtMost: Self.chatsAtMost, context: context)
        if try await endless.run(stint, chunks: Self.chunks) { try await endless.restart() }
    }
}
