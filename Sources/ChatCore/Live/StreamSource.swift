import Logging
import Metrics
import Synchronization

/// The hub's shared dependencies: the store, the clocks, the limits.
final class StreamSource: Sendable {
    let messages: any MessageStore
    private let threads: any ThreadStore
    let changes: ChangeReader
    let log: any ChatLog
    /// `Backend.epoch`.
    let epoch: @Sendable () -> UInt64
    /// `Backend.cursorEpoch`.
    let cursorEpoch: Int64
    let limits: StreamLimits
    let time: Timekeeper
    let clock: WallClock
    let metrics: StreamMetrics
    /// Gates for chats with gaps and for readers that catch up; separate, so that neither delays the other.
    let chatReads: ReadGate
    let readerReads: ReadGate
    /// Bytes of all windows.
    private let kept = Atomic(0)
    private let logger: Logger

    init(
        backend: Backend, limits: StreamLimits, time: Timekeeper, clock: WallClock, logger: Logger,
        metrics: StreamMetrics
    ) {
        self.messages = backend.messages
        self.threads = backend.threads
        self.changes = ChangeReader(backend)
        self.log = backend.chatLog
        self.epoch = backend.epoch
        self.cursorEpoch = backend.cursorEpoch
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

    /// Does the work for a chat with a gap, when it is the tenant's turn.
    ///
    /// - Returns: `.failure` if the turn never comes.
    /// - Throws: like `carryOut` with a limit.
    func carryOut(_ work: LogOrder.Work, for chat: ReadChat) async throws(StreamEnd) -> LogOrder.Finding {
        guard let pass = await chatReads.enter(chat.tenant) else { return .failure }
        defer { chatReads.leave(pass) }
        return try await carryOut(work, for: chat, limit: limits.page)
    }

    /// Reads from the store, or settles numbers in it.
    ///
    /// - Parameter limit: of a read.
    /// - Throws: `.notFound` if the chat no longer exists; `.goingAway` if its id may mean another chat by now.
    func carryOut(
        _ work: LogOrder.Work, for chat: ReadChat, limit: StreamLimits.Size
    ) async throws(StreamEnd) -> LogOrder.Finding {
        guard epoch() == chat.epoch else { throw .goingAway }
        do {
            switch work {
            case .read(let number):
                let rows = try await messages.entries(in: chat.id, after: number, limit: limit)
                let found = try await threads.threads(of: rows.lazy.compactMap(\.message), in: chat.id)
                guard epoch() == chat.epoch else { throw StreamEnd.goingAway }
                return .rows(found.isEmpty ? rows : rows.map { $0.telling(found) })
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
            // Retried as long as there are readers; the store logs its failures.
            return .failure
        }
    }
}

extension StreamSource {
    /// Reads what has changed in a chat after a revision, for all of its readers, when it is the tenant's turn.
    ///
    /// - Returns: nil if the turn never comes, or the store fails.
    func changes(
        in chat: ReadChat, after revision: Int64
    ) async throws(StreamEnd) -> (items: [ChangedItem], events: [ChangeEvent])? {
        guard let pass = await chatReads.enter(chat.tenant) else { return nil }
        defer { chatReads.leave(pass) }
        return try await read(in: chat) {
            let items = try await changes.items(
                in: chat.id, after: revision, upTo: .max, limit: ChangeWindow.readAtOnce)
            return (items, try await changes.events(of: items, in: chat.id))
        }
    }

    /// Reads what has changed for one reader.
    ///
    /// - Returns: nil if the store fails.
    func changes(
        in chat: ReadChat, after cursor: Cursor, upTo goal: Int64, in numbers: NumberSpan, _ limit: StreamLimits.Size
    ) async throws(StreamEnd) -> ChangeWalk.Page? {
        try await read(in: chat) {
            try await ChangeWalk(reader: changes).page(in: chat.id, after: cursor, upTo: goal, in: numbers, limit)
        }
    }

    /// - Returns: nil if the store fails: retried as long as there are readers; the store logs its failures.
    /// - Throws: `.goingAway` if the chat's id may mean another chat by now.
    private func read<Found>(in chat: ReadChat, _ body: () async throws -> Found) async throws(StreamEnd) -> Found? {
        guard epoch() == chat.epoch else { throw .goingAway }
        let found = try? await body()
        guard epoch() == chat.epoch else { throw .goingAway }
        return found
    }
}

/// A chat that has readers.
struct ReadChat: Sendable {
    let id: Chat.ID
    let tenant: Tenant.ID
    /// `Backend.epoch` in which the id was looked up.
    let epoch: UInt64
}
