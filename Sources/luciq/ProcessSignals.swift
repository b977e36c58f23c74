import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Handles signals of a long-running process: `luciq serve` and `luciq worker`.
///
/// TERM and INT begin a graceful shutdown; a second one ends the process at once, with 128 and its number. HUP, USR1
/// and USR2, which make other servers reopen their log, are only logged unless there is an action for them. The handlers need neither Swift's tasks nor
/// Dispatch, so that a process in which these hang can be ended too. A thread does the work, and is the watchdog of the
/// shutdown.
final class ProcessSignals: Sendable {
    /// Further signals to handle.
    typealias Actions = [CInt: @Sendable () -> Void]

    /// Additional time to cancel the services and to close the store.
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

    /// Call it first, to replace the signals' defaults. Until the process serves, TERM and INT end it, also as the
    /// first process of a container, where the default is to do nothing.
    ///
    /// - Parameter others: ignored until `listen` handles them.
    static func hold(_ others: [CInt] = []) {
        SignalPipe.open()
        signal(SIGPIPE, SIG_IGN)
        for number in SignalPipe.ending { signal(number) { SignalPipe.end($0) } }
        for number in [SIGHUP, SIGUSR1, SIGUSR2] + others { signal(number) { SignalPipe.pass($0) } }
    }

    /// Runs the services until they have ended, and handles signals meanwhile.
    static func run(
        _ services: [ServiceGroupConfiguration.ServiceConfiguration], limit: Duration, actions: Actions = [:],
        logger: Logger
    ) async throws {
        var configuration = ServiceGroupConfiguration(
            // The last to start is the first to stop.
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

    /// Reads the handlers' bytes, for ever. No signal leads to work that could block this thread.
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
        // Only a cancellation throws here.
        try? await gracefulShutdown()
        SignalPipe.pass(CInt(SignalPipe.shutdown))
    }
}

/// The state of the signal handlers. They may interrupt any code, so they use only atomics and system calls.
private enum SignalPipe {
    static let ending = [SIGTERM, SIGINT]
    /// Not a signal's number.
    static let shutdown: UInt8 = 0
    /// Set once, before the handlers are installed.
    nonisolated(unsafe) static var output: CInt = -1
    nonisolated(unsafe) private static var input: CInt = -1
    static let isServing = Atomic(false)
    /// When the first ending signal arrived, in nanoseconds; 0 if none has.
    private static let first = Atomic<UInt64>(0)
    /// Signals within this time count as one: Ctrl-C reaches the whole process group, and the parent that it ends often
    /// sends TERM at once.
    private static let sameWish: UInt64 = 100_000_000

    static func open() {
        var ends: [CInt] = [-1, -1]
        precondition(pipe(&ends) == 0, "a pipe for signals")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            // A handler must not wait. After some thousand signals at once, further ones are lost.
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (output, input) = (ends[0], ends[1])
        // Create it here, not in a handler.
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
