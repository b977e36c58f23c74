import ChatCore
import Synchronization

/// Stands before the real message log: holds its batches, or fails them, when the test says so.
final class HeldMessageLog: MessageLog {
    private struct State {
        var isHeld = false
        var failure: ChatError?
        var held: [CheckedContinuation<Void, Never>] = []
        var arrivals = 0
        var watchers: [(count: Int, wake: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let log: any MessageLog

    init(_ log: any MessageLog) { self.log = log }

    func append(_ batch: [NewMessage], at now: Timestamp) async throws -> [Result<AppendedMessage, ChatError>] {
        await withCheckedContinuation { hold in
            let (isHeld, ready) = state.withLock { state in
                state.arrivals += 1
                let ready = state.watchers.filter { $0.count <= state.arrivals }.map(\.wake)
                state.watchers.removeAll { $0.count <= state.arrivals }
                if state.isHeld { state.held.append(hold) }
                return (state.isHeld, ready)
            }
            for wake in ready { wake.resume() }
            if !isHeld { hold.resume() }
        }
        if let failure = state.withLock(\.failure) { throw failure }
        return try await log.append(batch, at: now)
    }

    func settle(_ number: Message.Number, in chat: Chat.ID) async throws -> Message? {
        try await log.settle(number, in: chat)
    }

    func hold() { state.withLock { $0.isHeld = true } }
    func fail(_ failure: ChatError?) { state.withLock { $0.failure = failure } }

    /// Lets go of what is held and holds no more.
    func release() {
        let held = state.withLock { state in
            state.isHeld = false
            let held = state.held
            state.held = []
            return held
        }
        for hold in held { hold.resume() }
    }

    /// Returns when that many batches have arrived.
    func waitForBatches(_ count: Int) async {
        await withCheckedContinuation { wake in
            let isThere = state.withLock { state in
                if state.arrivals >= count { return true }
                state.watchers.append((count, wake))
                return false
            }
            if isThere { wake.resume() }
        }
    }
}

extension Backend {
    /// The same backend with another message log.
    func replacing(messageLog: any MessageLog) -> Backend {
        Backend(
            tenants: tenants, chats: chats, messages: messages, tenantLog: tenantLog, chatLog: chatLog,
            messageLog: messageLog, writeExecutor: writeExecutor, probe: probe, services: services, close: close)
    }
}
