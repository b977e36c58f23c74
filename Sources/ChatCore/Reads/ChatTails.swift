import Synchronization

/// The tails of chats that somebody has asked about, for all users of a chat together.
///
/// Nothing is believed: each request has read the heads of its chats from the store, and a tail is brought up to these by
/// what is new and by what `chat_changes` says has changed. So it needs no bus, and a lost message leaves nothing wrong.
/// The least recently used are dropped.
final class ChatTails: Sendable {
    /// In units of four bytes: 16 MiB.
    private static let mostCost = 4 << 20
    /// Rows that are read at once.
    private static let rowsAtOnce: Int64 = 1024
    /// Changes that are read at once, and how often, before the tail is made anew.
    private static let changesAtOnce = 256
    private static let changePages = 8
    /// Changed messages that are read one by one; more are read as a range.
    private static let readSingly = 16

    private struct Kept {
        var tail: ChatTail
        /// `Backend.epoch` of its rows.
        var epoch: UInt64
        var used: UInt64
    }

    private struct State {
        var tails: [Chat.ID: Kept] = [:]
        var cost = 0
        var clock: UInt64 = 0

        mutating func put(_ kept: Kept?, of chat: Chat.ID) {
            cost -= tails[chat]?.tail.cost ?? 0
            cost += kept?.tail.cost ?? 0
            tails[chat] = kept
        }
    }

    private let state = Mutex(State())
    private let backend: Backend
    private let clock: WallClock

    init(backend: Backend, clock: WallClock) {
        self.backend = backend
        self.clock = clock
    }

    /// A chat's tail, as of a head or later.
    ///
    /// - Parameters:
    ///   - head: read from the store before.
    ///   - low: it has the numbers after it, as far as its window reaches.
    func tail(of chat: Chat.ID, at head: ChatHead, after low: Int64) async throws -> ChatTail {
        let epoch = backend.epoch()
        let known = known(chat, epoch)
        var tail: ChatTail
        if let known, !known.isWorn, head.number - known.high <= ChatTail.window {
            tail = known
        } else {
            tail = try await start(chat, head)
        }
        if tail.high < head.number { try await extend(&tail, of: chat, to: head.number) }
        if tail.revision < head.revision, try await !update(&tail, of: chat, to: head.revision) {
            tail = try await start(chat, head)
        }
        let wanted = max(0, low, tail.high - ChatTail.window)
        while tail.low > wanted {
            let start = max(wanted, tail.low - Self.rowsAtOnce)
            tail.prepend(try await backend.reads.tailRows(of: chat, numbers: start + 1...tail.low), after: start)
        }
        keep(tail, of: chat, epoch)
        return tail
    }

    /// A tail of no numbers. Below its end none is missing, but for those that are made void some day.
    private func start(_ chat: Chat.ID, _ head: ChatHead) async throws -> ChatTail {
        let end = try await backend.messages.tail(of: chat).complete(without: nil)
        return ChatTail(from: end, revision: head.revision)
    }

    private func extend(_ tail: inout ChatTail, of chat: Chat.ID, to number: Int64) async throws {
        var hasSettled = false
        while tail.high < number {
            let before = tail.high
            let end = min(number, before + Self.rowsAtOnce)
            tail.append(try await backend.reads.tailRows(of: chat, numbers: before + 1...end))
            guard tail.high == before else { continue }
            // A number is missing. If it is old, it is made void; until then nothing above it is counted.
            let reader = LogReader("unread", backend, clock: clock)
            guard !hasSettled, let entries = try await reader.entries(in: chat, after: before) else { return }
            hasSettled = true
            if let first = entries.first, first.message == nil, first.last.rawValue > end {
                tail = ChatTail(from: first.last.rawValue, revision: tail.revision)
            }
        }
    }

    /// - Returns: false if there is too much.
    private func update(_ tail: inout ChatTail, of chat: Chat.ID, to revision: Int64) async throws -> Bool {
        var changed: [Int64] = []
        var last = tail.revision
        for _ in 0..<Self.changePages {
            // Beyond the head too: a row that has moved up since has left its place below it.
            let items = try await backend.changes.changes(
                in: chat, after: last, upTo: .max, limit: Self.changesAtOnce)
            changed += items.filter { $0.kind == .message && tail.mayChange($0.number) }.map(\.number)
            guard items.count == Self.changesAtOnce, let end = items.last else {
                try await read(changed, of: chat, into: &tail)
                tail.advance(toRevision: revision)
                return true
            }
            last = end.revision
        }
        return false
    }

    private func read(_ numbers: [Int64], of chat: Chat.ID, into tail: inout ChatTail) async throws {
        guard let first = numbers.min(), let last = numbers.max() else { return }
        if numbers.count <= Self.readSingly {
            for number in numbers {
                tail.update(try await backend.reads.tailRows(of: chat, numbers: number...number))
            }
            return
        }
        for start in stride(from: first, through: last, by: Int(Self.rowsAtOnce)) {
            tail.update(
                try await backend.reads.tailRows(
                    of: chat, numbers: start...min(last, start + Self.rowsAtOnce - 1)))
        }
    }

    private func known(_ chat: Chat.ID, _ epoch: UInt64) -> ChatTail? {
        state.withLock { state in
            guard let kept = state.tails[chat], kept.epoch == epoch else { return nil }
            state.clock += 1
            state.tails[chat]!.used = state.clock
            return kept.tail
        }
    }

    private func keep(_ tail: ChatTail, of chat: Chat.ID, _ epoch: UInt64) {
        guard backend.epoch() == epoch else { return }
        state.withLock { state in
            if let kept = state.tails[chat], kept.epoch == epoch, kept.tail.high > tail.high, !kept.tail.isWorn {
                return
            }
            state.clock += 1
            state.put(Kept(tail: tail, epoch: epoch, used: state.clock), of: chat)
            guard state.cost > Self.mostCost else { return }
            for (chat, _) in state.tails.sorted(by: { $0.value.used < $1.value.used }) {
                guard state.cost > Self.mostCost / 4 * 3 else { return }
                state.put(nil, of: chat)
            }
        }
    }
}
