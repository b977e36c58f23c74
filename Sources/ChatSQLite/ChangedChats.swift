import ChatCore
import Synchronization

/// The chats that got messages: for the indexer since it asked last, for log readers since their last finished sweep
/// began. So both, and searches for what the engine does not have, look at what has changed and not at all chats.
///
/// Only this process writes the file, so nothing else changes it. A reader's first sweep here visits all chats.
final class ChangedChats: Sendable {
    /// Of the indexer. Others are left out: its walk finds them.
    private static let capacity = 65_536

    private struct State {
        var unindexed: Set<Chat.ID> = []
        /// Rises with each batch.
        var moment: Int64 = 0
        /// The moment of each chat's last change that a reader may not have seen.
        var chats: [Tenant.ID: [Chat.ID: Int64]] = [:]
        var count = 0
        /// Changes up to this moment are not all known.
        var forgotten: Int64 = 0
        /// When each reader's last finished sweep began.
        var sweeps: [LogReader.Name: Int64] = [:]
        /// When the first sweep began of each reader that has finished none, or of which changes were forgotten.
        var walks: [LogReader.Name: Int64] = [:]
        /// Whether there is any reader.
        var isRead = false

        mutating func change(_ chat: Chat.ID, of tenant: Tenant.ID) {
            if chats[tenant, default: [:]].updateValue(moment, forKey: chat) == nil { count += 1 }
        }

        mutating func forget() { (chats, count, forgotten, walks) = ([:], 0, moment, [:]) }

        /// Forgets what all readers have seen.
        mutating func prune() {
            let seen = min(sweeps.values.min() ?? .max, walks.values.min() ?? .max)
            for (tenant, all) in chats {
                let rest = all.filter { $0.value > seen }
                count -= all.count - rest.count
                chats[tenant] = rest.isEmpty ? nil : rest
            }
        }
    }

    private let state = Mutex(State())
    /// The most chats that readers may be behind.
    private let most: Int

    init(most: Int = 65_536) { self.most = most }

    /// Call it after the batch was committed, before it is answered.
    func see(_ batch: [ChatChange]) {
        state.withLock { state in
            for change in batch where state.unindexed.count < Self.capacity { state.unindexed.insert(change.chat) }
            guard state.isRead else { return }
            state.moment += 1
            for change in batch { state.change(change.chat, of: change.tenant) }
            if state.count > most { state.forget() }
        }
    }

    /// The same for edits and deletions.
    func see(_ batch: [MessageChange]) {
        state.withLock { state in
            for change in batch where state.unindexed.count < Self.capacity { state.unindexed.insert(change.chat.id) }
            guard state.isRead else { return }
            state.moment += 1
            for change in batch { state.change(change.chat.id, of: change.chat.tenant) }
            if state.count > most { state.forget() }
        }
    }

    /// The chats that got messages since the last call.
    func take() -> [Chat.ID] {
        state.withLock { state in
            defer { state.unindexed = [] }
            return Array(state.unindexed)
        }
    }

    /// Begins a sweep of what has changed since the reader's last finished one began; of all chats if that is not known.
    func beginSweep(of reader: LogReader.Name) -> LogSweep {
        state.withLock { state in
            state.isRead = true
            guard let last = state.sweeps[reader], last >= state.forgotten else {
                if state.walks[reader] == nil { state.walks[reader] = state.moment }
                return LogSweep(of: reader, start: state.moment)
            }
            return LogSweep(of: reader, start: state.moment, isWalk: false, place: last)
        }
    }

    /// The next chats of a sweep that is no walk, in the order of their last change.
    ///
    /// - Returns: nil if some of them are not known any more.
    func next(of sweep: inout LogSweep, limit: Int) -> [Chat.ID]? {
        guard let place = sweep.place else { return [] }
        let changed: [(chat: Chat.ID, moment: Int64)]? = state.withLock { state in
            guard place >= state.forgotten else { return nil }
            return state.chats.values.flatMap { $0.filter { $0.value > place }.map { ($0.key, $0.value) } }
        }
        guard let changed else { return nil }
        guard changed.count > limit else {
            sweep.place = nil
            return changed.map(\.chat)
        }
        let sorted = changed.sorted { $0.moment < $1.moment }
        // All of one moment.
        let last = sorted[limit - 1].moment
        sweep.place = last
        return sorted.prefix { $0.moment <= last }.map(\.chat)
    }

    /// Finishes a sweep whose chats were all read to their end.
    func finish(_ sweep: LogSweep) {
        state.withLock { state in
            state.sweeps[sweep.reader] = max(sweep.start, state.sweeps[sweep.reader] ?? 0)
            state.walks[sweep.reader] = nil
            state.prune()
        }
    }

    /// A cursor is not where a reader of these chats left it.
    func see(_ chat: Chat.ID, of tenant: Tenant.ID) {
        state.withLock { state in
            state.moment += 1
            state.change(chat, of: tenant)
        }
    }

    /// Forgets a reader that is no more.
    func forget(_ reader: LogReader.Name) {
        state.withLock { state in
            state.sweeps[reader] = nil
            state.walks[reader] = nil
        }
    }

    /// The chats of a tenant that have changed since the reader's last finished sweep began: what was committed before
    /// then is below its cursors.
    ///
    /// - Returns: nil if they are not known.
    func unseen(by reader: LogReader.Name, in tenant: Tenant.ID) -> [Chat.ID]? {
        state.withLock { state in
            guard let last = state.sweeps[reader], last >= state.forgotten else { return nil }
            return state.chats[tenant, default: [:]].filter { $0.value > last }.map(\.key)
        }
    }
}
