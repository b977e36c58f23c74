import Synchronization

/// The bus within one process. Publishing a message of a chat without readers costs one look-up.
package final class LocalBus: MessageBus {
    private struct State {
        var listener: @Sendable (BusEvent) -> Void = { _ in }
        var chats: Set<Chat.ID> = []
    }

    private let state = Mutex(State())

    package init() {}

    package var hearing: BusHearing { .everything }

    package func listen(_ listener: @escaping @Sendable (BusEvent) -> Void) {
        state.withLock { $0.listener = listener }
    }

    package func subscribe(to chat: Chat.ID) async -> Bool {
        state.withLock { _ = $0.chats.insert(chat) }
        return true
    }

    package func unsubscribe(from chat: Chat.ID) async { state.withLock { _ = $0.chats.remove(chat) } }

    /// Publishes the stored messages of a batch before it returns.
    package func publish(_ batch: [ChatChange], _ results: [Result<ChatChange.Outcome, ChatError>]) {
        let chats = state.withLock(\.chats)
        if !chats.isEmpty { publish(batch.stored(results, in: chats.contains)) }
    }

    /// Publishes stored messages before it returns.
    package func publish(_ stored: [Chat.ID: [Message]]) {
        let (listener, chats) = state.withLock { ($0.listener, $0.chats) }
        if chats.isEmpty { return }
        for (chat, messages) in stored where chats.contains(chat) { listener(.committed(chat, messages)) }
    }

    /// Tells of revisions that chats have reached, before it returns.
    package func publish(revisions: [Chat.ID: Int64]) {
        let (listener, chats) = state.withLock { ($0.listener, $0.chats) }
        for (chat, revision) in revisions where chats.contains(chat) { listener(.revised(chat, revision)) }
    }

    package func publish(_ signals: [Signal], in chat: Chat.ID) {
        let (listener, isHeard) = state.withLock { ($0.listener, $0.chats.contains(chat)) }
        if isHeard { listener(.signals(chat, signals)) }
    }

    package func publish(online users: [PresentUser]) { tell(.online(users)) }

    package func revoke(_ principal: Principal, isBlocked: Bool) { tell(.revoked(principal, isBlocked: isBlocked)) }

    package func change(_ tenant: Tenant.ID) { tell(.tenantChanged(tenant)) }

    package func publish(_ change: MembersChanged) { tell(.members(change)) }

    /// Forwards an event of another bus.
    package func tell(_ event: BusEvent) { state.withLock(\.listener)(event) }
}

extension [ChatChange] {
    /// The stored messages of a batch, by chat, in number order. Replays are left out: they were published when first
    /// stored.
    package func stored(
        _ results: [Result<ChatChange.Outcome, ChatError>], in isWanted: (Chat.ID) -> Bool = { _ in true }
    ) -> [Chat.ID: [Message]] {
        var messages: [Chat.ID: [Message]] = [:]
        for (change, result) in zip(self, results) where isWanted(change.chat) {
            switch (change, result) {
            case (.message(let new), .success(.message(let appended))) where !appended.isReplay:
                messages[new.chat, default: []].append(Message(appended, new.content))
            case (.message, _): break
            }
        }
        return messages
    }
}

extension [MessageChange] {
    /// The messages whose content a batch has changed, by chat, each as it was last.
    package func changed(_ results: [Result<ChangedMessage, ChatError>]) -> [Chat.ID: [Message]] {
        var messages: [Chat.ID: [Message.Number: Message]] = [:]
        for (change, result) in zip(self, results) {
            guard change.changesContent, case .success(let changed) = result, changed.isChanged else { continue }
            messages[change.chat.id, default: [:]][change.number] = changed.message
        }
        return messages.mapValues { $0.values.sorted { $0.number < $1.number } }
    }
}
