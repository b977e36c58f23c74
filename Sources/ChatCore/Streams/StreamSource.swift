import Logging
import Metrics
import Synchronization

/// What the hub's parts share: the store, the time, the bounds.
final class StreamSource: Sendable {
    let messages: any MessageStore
    let log: any MessageLog
    /// `Backend.epoch`.
    let epoch: @Sendable () -> UInt64
    let limits: StreamLimits
    let time: Timekeeper
    let clock: WallClock
    let metrics: StreamMetrics
    /// Where chats that have missed something wait for a read, and readers that catch up: neither holds up the other.
    let chatReads: Turnstile
    let readerReads: Turnstile
    /// The weight of the messages kept for readers.
    private let kept = Atomic(0)
    /// The weight of the pages that readers were given from the store.
    private let handedOut = Atomic(0)
    private let logger: Logger

    init(
        backend: Backend, limits: StreamLimits, time: Timekeeper, clock: WallClock, logger: Logger,
        metrics: StreamMetrics
    ) {
        self.messages = backend.messages
        self.log = backend.messageLog
        self.epoch = backend.epoch
        self.limits = limits
        self.time = time
        self.clock = clock
        self.metrics = metrics
        self.chatReads = Turnstile(places: limits.reads)
        self.readerReads = Turnstile(places: limits.reads)
        self.logger = logger
    }

    var isTight: Bool { kept.load(ordering: .relaxed) > limits.windowsBytes }

    func keep(_ bytes: Int) { if bytes != 0 { kept.add(bytes, ordering: .relaxed) } }

    func hand(_ bytes: Int) { handedOut.add(bytes, ordering: .relaxed) }

    /// What a reader may be given from the store.
    var pageLimit: StreamLimits.Size {
        handedOut.load(ordering: .relaxed) > limits.pagesBytes ? limits.smallWindow : limits.page
    }

    /// Asks the store, when it is its turn.
    ///
    /// - Parameter limit: of what is read; nil for a page.
    /// - Returns: nil when it never will be.
    /// - Throws: `.notFound` for a chat that is gone; `.goingAway` when the chat's id, looked up in that epoch, may mean
    ///   another one by now.
    func carryOut(
        _ work: LogOrder.Work, in chat: Chat.ID, of epoch: UInt64, through turnstile: Turnstile,
        limit: StreamLimits.Size? = nil
    ) async throws(StreamEnd) -> LogOrder.Finding? {
        guard await turnstile.enter() else { return nil }
        defer { turnstile.leave() }
        // Its turn may have come as its reader left.
        if Task.isCancelled { return nil }
        guard self.epoch() == epoch else { throw .goingAway }
        do {
            switch work {
            case .read(let number):
                let rows = try await messages.entries(in: chat, after: number, limit: limit ?? limits.page)
                guard self.epoch() == epoch else { throw StreamEnd.goingAway }
                return .rows(rows)
            case .settle(let numbers):
                logger.notice(
                    "Numbers are missing, and made sure of",
                    metadata: ["chat_id": "\(chat.rawValue)", "numbers": "\(numbers)"])
                try await log.settle(numbers, in: chat)
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
