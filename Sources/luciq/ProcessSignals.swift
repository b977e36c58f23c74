import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// What signals do to a process that stays: `luciq serve` and `luciq worker`.
///
/// TERM and INT begin a graceful shutdown, and another of them ends the process at once, with 128 and its number. HUP,
/// USR1 and USR2, which other servers take for "open the log again", are noted in the log and do nothing. The
/// handlers need neither Swift's tasks nor Dispatch, so that a process in which these hang can be ended too; a thread
/// does what follows, and is the watchdog of the shutdown.
final class ProcessSignals: Sendable {
    /// What else is listened for.
    typealias Actions = [CInt: @Sendable () -> Void]

    /// What the services have beside their time to be cancelled, and the store to be closed.
    private static let grace = Duration.seconds(3)

    private let logger: Logger
    private let limit: Duration
    private let actions: Actions
    private let onShutdown: @Sendable () -> Void

    /// - Parameters:
    ///   - limit: for the whole shutdown; past it the watchdog ends the process with `ExitStatus.overdue`.
    ///   - onShutdown: begins the graceful shutdown.
    private init(limit: Duration, actions: Actions, logger: Logger, onShutdown: @escaping @Sendable () -> Void) {
        self.logger = logger
        self.limit = limit
        self.actions = actions
        self.onShutdown = onShutdown
    }

    /// Call it first of all: none of these signals may do what it does by default. TERM and INT end the process as long as
    /// it does not serve. As the first process of a container, too, where the default is to do nothing.
    ///
    /// - Parameter others: ignored until `listen` knows what to do.
    static func hold(_ others: [CInt] = []) {
        SignalPipe.open()
        signal(SIGPIPE, SIG_IGN)
        for number in SignalPipe.ending { signal(number) { SignalPipe.end($0) } }
        for number in [SIGHUP, SIGUSR1, SIGUSR2] + others { signal(number) { SignalPipe.pass($0) } }
    }

    /// Runs the services until they have ended, and does what signals say meanwhile.
    static func run(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration], limit: Duration, actions: Actions = [:],
        logger: Logger
    ) async throws {
        var configuration = ServiceGroupConfiguration(
            // The last to begin is the first to be told.
            services: services + [.init(service: ShutdownMark())], logger: logger)
        configuration.maximumGracefulShutdownDuration = limit
        let group = ServiceGroup(configuration: configuration)
        let signals = ProcessSignals(limit: limit + Self.grace, actions: actions, logger: logger) {
            Task { await group.triggerGracefulShutdown() }
        }
        Thread.detachNewThread { signals.listen() }
        SignalPipe.isServing.store(true, ordering: .sequentiallyConsistent)
        try await group.run()
    }

    /// Reads what the handlers wrote, for ever. No signal leads to anything that could keep this thread.
    private func listen() -> Never {
        var deadline: ContinuousClock.Instant?
        while true {
            let left = deadline.map { max(0, ($0 - .now) / .milliseconds(1)) }
            if left == 0 { giveUp() }
            var input = pollfd(fd: SignalPipe.output, events: Int16(POLLIN), revents: 0)
            poll(&input, 1, left.map { CInt(min($0.rounded(.up), 1_000_000)) } ?? -1)
            var byte: UInt8 = 0
            guard read(SignalPipe.output, &byte, 1) == 1 else { continue }
            if byte == SignalPipe.shutdown || SignalPipe.ending.contains(CInt(byte)) {
                if deadline == nil {
                    deadline = .now + limit
                    if byte != SignalPipe.shutdown {
                        logger.info("shutting down", metadata: ["signal": .string(Self.name(CInt(byte)))])
                    }
                    onShutdown()
                }
            } else if let action = actions[CInt(byte)] {
                action()
            } else {
                logger.notice("Signal ignored", metadata: ["signal": .string(Self.name(CInt(byte)))])
            }
        }
    }

    private func giveUp() -> Never {
        logger.critical("Shutdown took too long", metadata: ["limit_s": .stringConvertible(limit / .seconds(1))])
        LogQueue.standardError.flush()
        _exit(ExitStatus.overdue.code.rawValue)
    }

    private static func name(_ number: CInt) -> String {
        let names = [
            SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGHUP: "SIGHUP", SIGUSR1: "SIGUSR1", SIGUSR2: "SIGUSR2",
        ]
        return names[number] ?? String(number)
    }
}

/// Tells the watchdog when a shutdown begins without a signal.
private struct ShutdownMark: Service {
    func run() async throws {
        // Nothing throws here but the end.
        try? await gracefulShutdown()
        SignalPipe.pass(CInt(SignalPipe.shutdown))
    }
}

/// What the handlers of signals touch. They may interrupt anything at all, so there are atomics and system calls only.
private enum SignalPipe {
    static let ending = [SIGTERM, SIGINT]
    /// No signal's number.
    static let shutdown: UInt8 = 0
    /// Set once, before there are handlers.
    nonisolated(unsafe) static var output: CInt = -1
    nonisolated(unsafe) private static var input: CInt = -1
    static let isServing = Atomic(false)
    /// When the first ending signal came, in nanoseconds; 0 for never.
    private static let first = Atomic<UInt64>(0)
    /// Ctrl-C in a terminal reaches the whole group, and the parent that it ends often sends TERM at once: one wish.
    private static let sameWish: UInt64 = 100_000_000

    static func open() {
        var ends: [CInt] = [-1, -1]
        precondition(pipe(&ends) == 0, "a pipe for signals")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            // A handler must not wait. What does not fit, after some thousand signals at once, is lost.
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (output, input) = (ends[0], ends[1])
        // Made now, and not by a handler.
        _ = isServing.load(ordering: .relaxed)
        _ = first.load(ordering: .relaxed)
    }

    static func pass(_ number: CInt) {
        let failure = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(input, &byte, 1)
        errno = failure
    }

    static func end(_ number: CInt) {
        guard isServing.load(ordering: .sequentiallyConsistent) else { _exit(128 + number) }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        let (isFirst, begin) = first.compareExchange(expected: 0, desired: now, ordering: .sequentiallyConsistent)
        if isFirst { return pass(number) }
        if now - min(now, begin) > sameWish { _exit(128 + number) }
    }
}
