import ChatJobs
import Logging

/// Puts right what follows from the rows that have come since the last run (`LogChanges`): the columns of counts, numbers
/// that were lost on their way, Redis' counters and copies.
///
/// Everything is computed from the rows, so any part may be done twice, or by two at once. The position moves when all
/// before it is done, so a run that dies is done again. What cannot be done now (somebody holds a row, a number may still
/// come) is recorded as a new change.
struct SyncCounts: Job {
    // What Sidekiq's page shows and Ruby processes enqueue.
    static let name = "SyncChatCounts"
    static let aliases = ["SyncApplicationCounts", "ChatMessagesSyncWorker", "ApplicationMessagesSyncWorker"]
    static var options: JobOptions { .recurring }

    let context: JobContext
    var time = Duration.seconds(240)

    func perform(_ arguments: IgnoredArguments) async throws {
        let stint = Stint(time, in: context)
        let position = JobPosition(.changes, context)
        let overlap = LogChanges.overlap.components.seconds * 1_000_000
        var known = try await position.read()
        let now = try await context.read { try LogChanges.now($0) }
        // A clock that was put back is no reason to wait for it.
        var start = max(0, min(known, now) - overlap)
        while true {
            let changes = try await context.read { [start] in try LogChanges(from: start, $0) }
            guard try await workOff(changes, stint) else {
                return context.logger.notice("Some counts are left to the next run")
            }
            // The next run goes back by the overlap, to this page's end at most.
            let reached = changes.isAtEnd ? now : min(now, changes.last + overlap)
            // Another run that has moved it has done the same.
            guard try await position.move(from: known, to: reached) else { return }
            if changes.isAtEnd { break }
            (known, start) = (reached, changes.last)
        }
        while try await context.write({ try LogChanges.trim(before: now - LogChanges.kept, $0) }) {
            try await stint.step()
        }
    }

    /// - Returns: false when there was no time for all.
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
    /// Of what comes again by the clock: what fails for long must not pile up.
    static var recurring: JobOptions {
        var options = JobOptions()
        options.retries = 3
        return options
    }
}
