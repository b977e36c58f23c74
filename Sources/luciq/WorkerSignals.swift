import Dispatch
import Foundation
import ServiceLifecycle

/// The two signals that tell a worker something and do not end it, as Sidekiq has them: TSTP takes no more jobs, TTIN
/// writes to the log what is being done.
///
/// Both suspend a process by default, so they must be caught from the start: call `hold()` before anything else.
struct WorkerSignals: Service {
    let onQuiet: @Sendable () -> Void
    let onDump: @Sendable () -> Void

    /// Until `run` listens they are ignored.
    static func hold() { for number in [SIGTSTP, SIGTTIN] { signal(number, SIG_IGN) } }

    func run() async throws {
        let queue = DispatchQueue(label: "luciq-signals")
        let sources = [(SIGTSTP, onQuiet), (SIGTTIN, onDump)].map { number, handler in
            // On Linux the source puts its own handler in the place of `SIG_IGN`; on macOS it needs that one to stay.
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler(handler: handler)
            source.activate()
            return source
        }
        // Nothing throws here but the end.
        try? await gracefulShutdown()
        for source in sources { source.cancel() }
        Self.hold()
    }
}
