import ChatCluster
import Dispatch
import Foundation
import Logging

/// How many files the process may have open, which connections are too, and who gets them.
///
/// What the process needs itself comes first: with all taken by clients, searches and health checks would fail.
enum FileLimit {
    /// With fewer connections than this a server is of no use.
    static let fewestConnections = 8

    /// Raises the soft limit to what is needed, as far as it may be.
    ///
    /// - Parameters:
    ///   - reserved: what the process needs itself.
    ///   - setting: the name of what `wanted` was set by.
    /// - Returns: how many connections there may be: `wanted`, or fewer.
    /// - Throws: an exit code when not even a few would be left.
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

    /// - Parameter limit: how many files the process may have.
    /// - Returns: nil when too few are left.
    static func allowed(_ wanted: Int, beside reserved: Int, of limit: Int) -> Int? {
        let left = limit - reserved
        return left >= min(wanted, fewestConnections) ? min(wanted, left) : nil
    }

    /// What a process needs that listens: the standard streams, Dispatch's five, a pipe for signals, three for each event
    /// loop, and some for files that are open for a moment.
    ///
    /// - Parameter loops: beside one for each processor.
    static func process(listeners: Int, loops: Int = 0) -> Int {
        20 + listeners + 3 * (ProcessInfo.processInfo.activeProcessorCount + loops)
    }

    /// Has Dispatch make its timers. It makes each when it is first used, and if no file is left then, ends the process.
    static func takeTimers() {
        let queue = DispatchQueue(label: "luciq-timers")
        let group = DispatchGroup()
        for _ in 0..<3 { group.enter() }
        queue.asyncAfter(deadline: .now() + .milliseconds(1)) { group.leave() }
        queue.asyncAfter(wallDeadline: .now() + .milliseconds(1)) { group.leave() }
        Task {
            // The clock of most of our waits.
            try? await Task.sleep(for: .milliseconds(1), clock: .continuous)
            group.leave()
        }
        _ = group.wait(timeout: .now() + .seconds(1))
    }
}

extension StoreLocation {
    /// What a server needs for its store.
    var openFiles: Int {
        switch self {
        // Two for each connection, the writer's too, with its lock, the shared memory, and what watches the file.
        case .sqlite: 2 * (ProcessInfo.processInfo.activeProcessorCount + 5) + 6
        // Two to Redis, each of which may be made anew before the old one is closed, on a loop of their own.
        case .cluster(let configuration): configuration.connections + 4 + 3
        }
    }
}
