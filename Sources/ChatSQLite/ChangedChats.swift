import ChatCore
import Synchronization

/// The chats that got messages since they were asked for.
final class ChangedChats: Sendable {
    /// Others are left out: the indexer's walk finds them.
    private static let capacity = 65_536

    private let chats = Mutex<Set<Chat.ID>>([])

    func see(_ batch: [ChatChange]) {
        chats.withLock { chats in
            for change in batch where chats.count < Self.capacity { chats.insert(change.chat) }
        }
    }

    func take() -> [Chat.ID] {
        chats.withLock { chats in
            defer { chats = [] }
            return Array(chats)
        }
    }
}
