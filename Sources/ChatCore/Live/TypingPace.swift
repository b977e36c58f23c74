import Synchronization

/// Whose typing this process has told a moment ago. It is bounded: when it is full, others wait until the first is over.
final class TypingPace: Sendable {
    private struct Place: Hashable {
        let chat: Chat.ID
        let user: User.ID
    }

    private static let capacity = 16_384

    private let time: Timekeeper
    private let told = Mutex<[Place: Duration]>([:])

    init(time: Timekeeper) { self.time = time }

    func mayTell(of user: User.ID, in chat: Chat.ID) -> Bool {
        let (place, now) = (Place(chat: chat, user: user), time.now())
        return told.withLock { told in
            if let last = told[place], now - last < Signal.typingPause { return false }
            if told.count >= Self.capacity { told = told.filter { now - $0.value < Signal.typingPause } }
            guard told.count < Self.capacity else { return false }
            told[place] = now
            return true
        }
    }
}
