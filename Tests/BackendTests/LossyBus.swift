import Synchronization
import TestSupport

@testable import ChatCore

/// A bus that loses, repeats and mixes up what it is told.
final class LossyBus: MessageBus {
    private let bus: any MessageBus
    private let random: Mutex<SeededRandom>
    private let listener = Mutex<(@Sendable (BusEvent) -> Void)?>(nil)

    init(_ bus: any MessageBus, seed: UInt64) {
        self.bus = bus
        self.random = Mutex(SeededRandom(seed: seed))
    }

    /// Tells that something may have been lost.
    func mend() { listener.withLock(\.self)?(.gap) }

    var hearing: BusHearing { .usual }

    func listen(_ listener: @escaping @Sendable (BusEvent) -> Void) {
        self.listener.withLock { $0 = listener }
        bus.listen { [weak self] event in
            let fate = self?.random.withLock { Int.random(in: 0..<10, using: &$0) } ?? 9
            switch (event, fate) {
            // As a server of before tells of replies.
            case (.committed(let chat, let messages), 6): listener(.committed(chat, messages.map(\.withoutRoot)))
            case (.committed, 0..<3), (.revised, 0..<3): break
            case (.committed, 3..<6), (.revised, 3..<6):
                Task {
                    try? await Task.sleep(for: .milliseconds(5 * fate))
                    listener(event)
                }
                if fate == 3 { listener(event) }
            default: listener(event)
            }
        }
    }

    func subscribe(to chat: Chat.ID) async -> Bool { await bus.subscribe(to: chat) }
    func unsubscribe(from chat: Chat.ID) async { await bus.unsubscribe(from: chat) }
    func publish(revisions: [Chat.ID: Int64]) { bus.publish(revisions: revisions) }
    func publish(_ signals: [Signal], in chat: Chat.ID) { bus.publish(signals, in: chat) }
    func publish(online users: [PresentUser]) { bus.publish(online: users) }
    func revoke(_ principal: Principal, isBlocked: Bool) { bus.revoke(principal, isBlocked: isBlocked) }
    func change(_ tenant: Tenant.ID) { bus.change(tenant) }
    func publish(_ change: MembersChanged) { bus.publish(change) }
}
