import Synchronization

/// Tells the readers of chats how far others have read: of each chat at most once in a while, and then of all who have read
/// on since, each with its highest number. So a hundred readers who mark all the time cost a look-up and a publication
/// in that time.
///
/// What is lost, here or with the bus, is told by the next mark, and by the next snapshot.
final class Receipts: Sendable {
    static let pause = Duration.seconds(1)
    /// Chats of which something was told a moment ago. When it is full, others are told nothing of theirs.
    private static let capacity = 4096

    private let backend: Backend
    private let time: Timekeeper
    private let moved = Mutex<[Chat.ID: [User.ID: Int64]]>([:])

    init(backend: Backend, time: Timekeeper) {
        self.backend = backend
        self.time = time
    }

    /// Chats of which something waits to be told, or was told a moment ago.
    var chatCount: Int { moved.withLock(\.count) }

    /// Takes what was stored in a chat whose receipts are for its members.
    ///
    /// - Parameter epoch: `Backend.epoch` when the chat's id was looked up.
    func note(_ receipt: ReadReceipt, in chat: Chat.ID, epoch: UInt64) {
        let isFirst = moved.withLock { moved in
            guard var users = moved[chat] else {
                if moved.count >= Self.capacity { return false }
                moved[chat] = [receipt.user: receipt.number]
                return true
            }
            // More than a chat may have that shows them: it is told of nobody.
            guard users.count <= ChatScope.mostReceipts || users[receipt.user] != nil else { return false }
            users[receipt.user] = max(users[receipt.user] ?? 0, receipt.number)
            moved[chat] = users
            return false
        }
        if isFirst { Task.detached { await self.tell(of: chat, epoch) } }
    }

    private func tell(of chat: Chat.ID, _ epoch: UInt64) async {
        while let users = take(chat) {
            await publish(users, in: chat, epoch)
            try? await time.sleep(time.now() + Self.pause)  // This task is never cancelled.
        }
    }

    /// - Returns: nil if nobody has read on since the last time.
    private func take(_ chat: Chat.ID) -> [User.ID: Int64]? {
        moved.withLock { moved in
            guard let users = moved[chat], !users.isEmpty else {
                moved[chat] = nil
                return nil
            }
            moved[chat] = [:]
            return users
        }
    }

    private func publish(_ numbers: [User.ID: Int64], in chat: Chat.ID, _ epoch: UInt64) async {
        // Members and settings as of now. The store logs its failures.
        guard let users = try? await backend.usersShowingReads(in: chat), backend.epoch() == epoch else { return }
        let signals = users.compactMap { user in
            numbers[user].map { Signal.read(ReadReceipt(user: user, number: $0)) }
        }
        if !signals.isEmpty { backend.bus.publish(signals, in: chat) }
    }
}

extension Backend {
    /// The members who see how far the others have read, by their ids.
    ///
    /// - Throws: `ChatError.notFound`, `.receiptsOff`, `.tooManyReaders`.
    func usersShowingReads(in chat: Chat.ID) async throws -> [User.ID] {
        guard let settings = try await reads.chats([chat])[chat]?.settings else { throw ChatError.notFound }
        guard settings.receipts == .members else { throw ChatError.receiptsOff }
        let (members, hasMore) = try await members.members(of: chat, after: nil, limit: ChatScope.mostReceipts)
        guard !hasMore else { throw ChatError.tooManyReaders }
        return members.filter { $0.role != .banned }.map(\.user)
    }
}
