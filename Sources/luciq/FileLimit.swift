import ChatCluster
import Dispatch
import Foundation
import Logging

/// The limit of open files, which include connections, and their distribution.
///
/// The process' own needs come first: if clients took all files, searches and health checks would fail.
enum FileLimit {
    /// A server with fewer connections than this is useless.
    static let fewestConnections = 8

    /// Raises the soft limit as far as needed and permitted.
    ///
    /// - Parameters:
    ///   - reserved: the process' own needs.
    ///   - setting: the name of the setting of `wanted`.
    /// - Returns: the possible number of connections: `wanted`, or fewer.
    /// - Throws: an exit code if not even a few are left.
    static func connections(
        _ wanted: Int, beside reserved: Int, setting: String, logger: Logger
    ) throws -> Int {
        var limit = rlimit()
        guard getrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
        let needed = rlim_t(wanted + reserved)
        if limit.rlim_cur < needed {
            let soft = limit.rlim_cur
            limit.rlim_cur = min(limit.rlim_max, needed)
            if setrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) != 0 { limit.rlim_cur = soft }
        }
        let files = Int(clamping: limit.rlim_cur)
        guard let allowed = allowed(wanted, beside: reserved, of: files) else {
            throw ExitStatus.configuration(
                """
                The limit on open files is \(files), and at least \(reserved + fewestConnections) are needed: raise it \
                (ulimit -n, LimitNOFILE of systemd, nofile of a container).
                """)
        }
        if allowed < wanted {
            logger.warning(
                "Fewer connections than set: the limit on open files is too low",
                metadata: [
                    "setting": .string(setting), "set": .stringConvertible(wanted),
                    "used": .stringConvertible(allowed), "limit": .stringConvertible(files),
                    "needed": .stringConvertible(wanted + reserved),
                ])
        }
        return allowed
    }

    /// - Parameter limit: the most open files of the process.
    /// - Returns: nil if too few are left.
    static func allowed(_ wanted: Int, beside reserved: Int, of limit: Int) -> Int? {
        let left = limit - reserved
        return left >= min(wanted, fewestConnections) ? min(wanted, left) : nil
    }

    /// The needs of a listening process: the standard streams, five for Dispatch, a pipe for signals, three for each
    /// event loop, and some for files that are open for a moment.
    ///
    /// - Parameter loops: in addition to one for each processor.
    static func process(listeners: Int, loops: Int = 0) -> Int {
        20 + listeners + 3 * (ProcessInfo.processInfo.activeProcessorCount + loops)
    }

    /// Makes Dispatch create its timers now. It creates each on first use, and ends the process if no file is left
    /// then.
    static func takeTimers() {
        let queue = DispatchQueue(label: "luciq-timers")
        let group = DispatchGroup()
        for _ in 0..<3 { group.enter() }
        queue.asyncAfter(deadline: .now() + .milliseconds(1)) { group.leave() }
        queue.asyncAfter(wallDeadline: .now() + .milliseconds(1)) { group.leave() }
        Task {
            // Most of our waits use this clock.
            try? await Task.sleep(for: .milliseconds(1), clock: .continuous)
            group.leave()
        }
        _ = group.wait(timeout: .now() + .seconds(1))
    }
}

extension StoreLocation {
    /// The files that a server needs for its store.
    var openFiles: Int {
        switch self {
        // Two for each connection, including the writer's, and some for the lock, the shared memory and the file watch.
        case .sqlite: 2 * (ProcessInfo.processInfo.activeProcessorCount + 5) + 6
        // Two connections to Redis, each of which may be replaced before the old one is closed, on their own event
        // loop.
        case .cluster(let configuration): configuration.connections + 4 + 3
        }
    }
}
