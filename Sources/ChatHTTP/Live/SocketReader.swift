import ChatCore
import NIOCore
import NIOWebSocket

/// Reads one chat for a connection, from the look-up to the end of the subscription (`ReaderPump`). Lives on the
/// connection's event loop; it has a task only during a query to the store.
final class SocketReader {
    private enum State {
        /// The look-up of the chat is running.
        case opening(Task<Void, Never>)
        /// The look-up is running, and was cancelled.
        case leaving
        case open(ChatSubscription)
        /// A read from the store is running.
        case reading(ChatSubscription, Task<Void, Never>)
        case ended
    }

    let id: SocketSession.SubscriptionID
    private let chat: Chat.Number
    private let eventLoop: any EventLoop
    /// Nil after `close`.
    private weak var handler: WebSocketHandler?
    private var state = State.leaving
    private var pump = ReaderPump()
    /// Whether it is queued to write; `SocketOutbox` sets it.
    var isInLine = false

    init(
        id: SocketSession.SubscriptionID, chat: Chat.Number, start: StreamStart, tenant: TenantScope,
        handler: WebSocketHandler, eventLoop: any EventLoop
    ) {
        self.id = id
        self.chat = chat
        self.eventLoop = eventLoop
        self.handler = handler
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        state = .opening(
            Task {
                do {
                    _ = try await tenant.access.pay(.stream)
                    let subscription = try await tenant.chat("\(chat.rawValue)").subscribe(
                        after: start.cursor, hasChanges: start.hasChanges, hasReads: start.hasReads)
                    eventLoop.execute { bound.value.hasOpened(subscription) }
                } catch {
                    let end = error is CancellationError ? StreamEnd.cancelled : error
                    eventLoop.execute { bound.value.finish(end) }
                }
            })
    }

    /// Writes nothing more; `ended` follows as usual.
    func cancel() {
        switch state {
        case .opening(let task):
            state = .leaving
            task.cancel()
        case .open(let subscription):
            subscription.cancel()
            tell(.cancel)
        case .reading(let subscription, let task):
            subscription.cancel()
            // It may be queued for a read that is no longer needed.
            task.cancel()
            tell(.cancel)
        case .leaving, .ended: break
        }
    }

    /// Cancels without `ended`: the connection is closed.
    func close() {
        handler = nil
        cancel()
    }

    /// Writes the next piece, if there is one.
    ///
    /// - Returns: whether there may be more to write now.
    func fill() -> Bool { handle(.demand) }

    /// It may read from the store now.
    func takeTurn() {
        tell(.turn)
        if !pump.hasTurn { handler?.outbox.endTurn() }
    }

    private func hasOpened(_ subscription: ChatSubscription) {
        guard case .opening = state else {
            subscription.cancel()
            return finish(StreamEnd.cancelled)
        }
        state = .open(subscription)
        handler?.opened(id, cursor: subscription.cursor)
        handler?.wantsToWrite(self)
    }

    private func tell(_ event: ReaderPump.Event) { if handle(event) { handler?.wantsToWrite(self) } }

    /// - Returns: whether there may be something to write.
    private func handle(_ event: ReaderPump.Event) -> Bool {
        let hadTurn = pump.hasTurn
        let action = pump.handle(event)
        if hadTurn, !pump.hasTurn { handler?.outbox.endTurn() }
        switch action {
        case .write(let piece):
            handler?.write(piece)
            return true
        case .take: return handle(take())
        case .queue: handler?.outbox.wantsToRead(self)
        case .read: read()
        case .deliver: return true
        case .finish(let reason): finish(reason)
        case .wait: break
        }
        return false
    }

    private func take() -> ReaderPump.Event {
        guard case .open(let subscription) = state else { return .end(.cancelled) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        return subscription.take { [chat] page in
            page.form { LivePieces($0, of: chat) }.pieces
        } orWake: { [eventLoop] in
            eventLoop.execute { bound.value.tell(.wake) }
        }
    }

    /// Reads the next messages from the store.
    private func read() {
        guard case .open(let subscription) = state else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let task = Task { [eventLoop, chat] in
            let event = await subscription.read { LivePieces($0, of: chat).pieces }
            eventLoop.execute { bound.value.hasRead(event) }
        }
        state = .reading(subscription, task)
    }

    private func hasRead(_ event: ReaderPump.Event) {
        if case .reading(let subscription, _) = state { state = .open(subscription) }
        tell(event)
    }

    private func finish(_ reason: any Error) {
        state = .ended
        handler?.ended(id, reason)
    }
}

@available(*, unavailable)
extension SocketReader: Sendable {}

/// Events of one chat encoded for sockets, which share them: pieces of whole frames, each about the size of a write.
struct LivePieces: LiveForm {
    let pieces: [ByteBuffer]

    var bytes: Int { pieces.bytes }

    init(_ events: LiveEvents, of chat: Chat.Number) {
        pieces = events.pieces { event, cursor, piece in
            piece.writeFrame(.text, LiveAnswer(chat: chat, event: event, cursor: cursor).text)
        }
    }
}
