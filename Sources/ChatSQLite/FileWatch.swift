import ChatCore
import Logging
import ServiceLifecycle

/// Compares the open files with those at the path, to notice a loss without a write, and logs it.
struct FileWatch: Service {
    /// Well below the second within which a loss must be noticed.
    static let interval = Duration.milliseconds(400)

    let store: SQLiteStore
    let file: SQLiteFile
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while true {
                if let loss = file.check() { await tell(of: loss); break }
                try? await Task.sleep(for: Self.interval)
                if Task.isCancelled { return }
            }
        }
        // Logged once; there is nothing left to watch.
        try? await gracefulShutdown()
    }

    private func tell(of loss: FileLoss) async {
        logger.critical(
            "Database file lost",
            metadata: ["path": "\(file.path)", "reason": "\(loss.rawValue)", "advice": "\(loss.advice(file))"])
        guard loss.leavesContentWhole else { return }
        let isWhole = await Task(executorPreference: store.writeThread) { store.foldLog() }.value
        if !isWhole {
            logger.error("Database log not folded into the lost file", metadata: ["path": "\(file.path)"])
        }
    }
}
