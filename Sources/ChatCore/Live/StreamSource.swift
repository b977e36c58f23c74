import Logging
import Metrics
import Synchronization

/// What the hub's parts share: the store, the time, the bounds.
final class StreamSource: Sendable {
    let messages: any MessageStore
    let log: any ChatLog
    /// `Backend.epoch`.
    let epoch: @Sendable () -> UInt64
    let limits: StreamLimits
    let time: Timekeeper
    let clock: WallClock
    let metrics: StreamMetrics
    /// Where chats that have missed something wait for a read, and readers that catch up: neither holds up the other.
    let chatReads: ReadGate
    let readerReads: ReadGate
    /// The weight of the messages kept for readers.
    private let kept = Atomic(0)
    private let logger: Logger

    init(
        backend: Backend, limits: StreamLimits, time: Timekeeper, clock: WallClock, logger: Logger,
        metrics: StreamMetrics
    ) {
        self.messages = backend.messages
        self.log = backend.chatLog
        self.epoch = backend.epoch
        self.limits = limits
        self.time = time
        self.clock = clock
        self.metrics = metrics
        self.chatReads = ReadGate(limits: limits)
        self.readerReads = ReadGate(limits: limits, held: metrics.held)
        self.logger = logger
    }

    var isTight: Bool { kept.load(ordering: .relaxed) > limits.windowsBytes }

    func keep(_ bytes: Int) { if bytes != 0 { kept.add(bytes, ordering: .relaxed) } }

    /// Asks the store for a chat that has missed something, when it is the tenant's turn.
    ///
    /// - Returns: `.failure` when it never will be.
    /// - Throws: as the other one.
    func carryOut(_ work: LogOrder.Work, for chat: ReadChat) async throws(StreamEnd) -> LogOrder.Finding {
        guard let pass = await chatReads.enter(chat.tenant) else { return .failure }
        defer { chatReads.leave(pass) }
        return try await carryOut(work, for: chat, limit: limits.page)
    }

    /// Asks the store.
    ///
    /// - Parameter limit: of what is read.
    /// - Throws: `.notFound` for a chat that is gone; `.goingAway` when the chat's id may mean another one by now.
    func carryOut(
        _ work: LogOrder.Work, for chat: ReadChat, limit: StreamLimits.Size
    ) async throws(StreamEnd) -> LogOrder.Finding {
        guard epoch() == chat.epoch else { throw .goingAway }
        do {
            switch work {
            case .read(let number):
                let rows = try await messages.entries(in: chat.id, after: number, limit: limit)
                guard epoch() == chat.epoch else { throw StreamEnd.goingAway }
                return .rows(rows)
            case .settle(let numbers):
                logger.notice(
                    "Settling missing message numbers",
                    metadata: ["chat_id": "\(chat.id.rawValue)", "numbers": "\(numbers)"])
                try await log.settle(numbers, in: chat.id)
                metrics.settled.increment(by: numbers.count)
                return .settled
            }
        } catch ChatError.notFound {
            throw .notFound
        } catch let end as StreamEnd {
            throw end
        } catch {
            // It is tried again for as long as there are readers; the store says what is wrong with it.
            return .failure
        }
    }
}

/// A chat, as it is read for its readers.
struct ReadChat: Sendable {
    let id: Chat.ID
    let tenant: Tenant.ID
    /// `Backend.epoch` in which the id was looked up.
    let epoch: UInt64
}
