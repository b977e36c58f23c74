import ChatCore
import ChatJobs
import Logging

/// Follows the rows stored since the last run (`LogChanges`): updates the counts' columns and Redis' counters and
/// copies, and makes lost numbers void.
///
/// Everything is computed from the rows, so each part is idempotent, also when two runs overlap. The position moves
/// after all changes before it are done, so a run that dies is repeated. Work that must wait (a row is locked, a number
/// may still be stored) is recorded as a new change.
struct SyncCounts: Job {
    // The names that Sidekiq's page shows and Ruby processes enqueue.
    static let name = "SyncChatCounts"
    static let aliases = ["SyncApplicationCounts", "ChatMessagesSyncWorker", "ApplicationMessagesSyncWorker"]
    static var options: JobOptions { .recurring }

    let context: JobContext
    var time = Duration.seconds(240)

    func perform(_ arguments: IgnoredArguments) async throws {
        let stint = Stint(time, in: context)
        let position = JobPosition(.changes, context)
        var known = try await position.read()
        let now = try await context.read { try LogChanges.now($0) }
        // The database's clock may have been set back: do not wait for it.
        var start = max(0, min(known, now) - LogChanges.overlap)
        while true {
            let changes = try await context.read { [start] in try LogChanges(from: start, $0) }
            guard try await workOff(changes, stint) else {
                return context.logger.notice("Some counts left for the next run")
            }
            // Not more than the overlap past this page's end: the next run goes back by the overlap.
            let reached = changes.isAtEnd ? now : min(now, changes.last + LogChanges.overlap)
            // If another run has moved the position, it has done this work.
            guard try await position.move(from: known, to: reached) else { return }
            if changes.isAtEnd { break }
            (known, start) = (reached, changes.last)
        }
        while try await context.write({ try LogChanges.trim(before: now - LogChanges.kept, $0) }) {
            try await stint.step()
        }
    }

    /// - Returns: false if the time is up before all is done.
    private func workOff(_ changes: LogChanges, _ stint: Stint) async throws -> Bool {
        let reconciler = Reconciler(context: context)
        var applications = changes.applications
        for ids in changes.chats.sorted().chunks(of: 256) {
            guard try await stint.goesOn() else { return false }
            for chat in try await reconciler.reconcile(chats: Array(ids), stint) {
                applications[chat.application] = applications[chat.application] ?? 0
            }
        }
        for some in applications.sorted(by: { $0.key < $1.key }).chunks(of: 256) {
            guard try await stint.goesOn() else { return false }
            var changed: [Reconciler.Application] = []
            for (id, lowest) in some {
                let dense = lowest > 0 ? try await reconciler.number(before: lowest, in: id) : nil
                changed.append(.init(id: id, dense: dense))
            }
            try await reconciler.reconcile(changed, stint)
        }
        return true
    }
}

extension JobOptions {
    /// For scheduled jobs: few retries, so that failures do not pile up.
    static var recurring: JobOptions {
        var options = JobOptions()
        options.retries = 3
        return options
    }
}
