package import Logging
package import Metrics

package typealias MessageWriter = GroupCommit<NewMessage, AppendedMessage>
package typealias ChatWriter = GroupCommit<NewChat, AppendedChat>
package typealias TenantWriter = GroupCommit<TenantChange, Void>

extension GroupCommit where Entry == NewMessage, Outcome == AppendedMessage {
    package convenience init(
        log: any MessageLog,
        limits: CommitLimits = CommitLimits(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system,
        executor: (any TaskExecutor)? = nil,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.init(name: "messages", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics) {
            try await log.append($0, at: clock.now())
        }
    }
}

extension GroupCommit where Entry == NewChat, Outcome == AppendedChat {
    package convenience init(
        log: any ChatLog,
        limits: CommitLimits = CommitLimits(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system,
        executor: (any TaskExecutor)? = nil,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.init(name: "chats", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics) {
            try await log.append($0, at: clock.now())
        }
    }
}

extension GroupCommit where Entry == TenantChange, Outcome == Void {
    package convenience init(
        log: any TenantLog,
        limits: CommitLimits = CommitLimits(),
        time: Timekeeper = .continuous,
        clock: WallClock = .system,
        executor: (any TaskExecutor)? = nil,
        logger: Logger,
        metrics: any MetricsFactory
    ) {
        self.init(
            name: "applications", limits: limits, time: time, executor: executor, logger: logger, metrics: metrics
        ) {
            try await log.apply($0, at: clock.now())
        }
    }
}
