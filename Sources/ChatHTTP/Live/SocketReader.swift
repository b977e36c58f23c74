import ChatCore
import DequeModule
import NIOCore
import NIOWebSocket

/// Reads one chat for a connection, from the look-up to the subscription's end. Lives on the connection's event loop; it has
/// a task only while the store is asked.
final class SocketReader {
    private enum Step {
        case subscribed(ChatSubscription)
        case messages([Message])
        case ended(any Error)
    }

    let id: SocketSession.SubscriptionID
    private let chat: Chat.Number
    private let eventLoop: any EventLoop
    /// Nil when nobody wants what it reads any more.
    private weak var handler: WebSocketHandler?
    private var task: Task<Void, Never>?
    private var subscription: ChatSubscription?
    private var wake: (@Sendable () -> Void)!
    /// What of the last messages is still to be written. No slice: that would keep those that were written, too.
    private var pieces = Deque<ByteBuffer>()
    /// Whose pieces they are, where others may share them.
    private var page: MessagePage?
    /// Whether the messages came from the store, in a turn that has not ended.
    private var hasTurn = false
    private var isBehind = false
    /// Whether there is nothing to take before the next `wake`.
    private var isWaiting = false
    private var isCancelled = false
    /// For `SocketOutbox`.
    var isInLine = false

    init(
        id: SocketSession.SubscriptionID, chat: Chat.Number, after: Cursor?, tenant: TenantScope,
        handler: WebSocketHandler,
        eventLoop: any EventLoop
    ) {
        self.id = id
        self.chat = chat
        self.eventLoop = eventLoop
        self.handler = handler
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        wake = { eventLoop.execute { bound.value.wakeUp() } }
        task = Task {
            do {
                let subscription = try await tenant.chat("\(chat.rawValue)").subscribe(after: after)
                eventLoop.execute { bound.value.perform(.subscribed(subscription)) }
            } catch {
                let end = error is CancellationError ? StreamEnd.cancelled : error
                eventLoop.execute { bound.value.perform(.ended(end)) }
            }
        }
    }

    /// Nothing is written any more; `ended` is told as of any end.
    func cancel() {
        isCancelled = true
        task?.cancel()
        subscription?.cancel()
    }

    /// The connection is gone.
    func close() {
        cancel()
        handler = nil
        forget()
    }

    private func perform(_ step: Step) {
        task = nil
        guard let handler else { return cancel(step) }
        switch step {
        case .subscribed(let subscription):
            self.subscription = subscription
            if isCancelled { subscription.cancel() }
            handler.opened(id, cursor: subscription.cursor)
            hasNews()
        case .messages(let messages):
            pieces = Deque(LivePieces(messages, of: chat).pieces)
            hasNews()
        case .ended(let error): end(error)
        }
    }

    private func cancel(_ step: Step) { if case .subscribed(let subscription) = step { subscription.cancel() } }

    private func wakeUp() {
        isWaiting = false
        hasNews()
    }

    private func hasNews() { handler?.wantsToWrite(self) }

    /// Writes some of what there is.
    ///
    /// - Returns: whether there may be more to write now.
    func fill(_ context: ChannelHandlerContext) -> Bool {
        guard let handler, let subscription, task == nil, !isBehind else { return false }
        if let piece = pieces.popFirst() {
            if !isCancelled { handler.write(piece) }
            return true
        }
        page = nil
        endTurn()
        if isWaiting { return false }
        switch subscription.take(orWake: wake) {
        case .page(let page, let isLast):
            pieces = Deque(page.form { [chat] in LivePieces($0, of: chat) }.pieces)
            self.page = page
            isWaiting = isLast
        case .nothing:
            isWaiting = true
            return false
        case .behind:
            isBehind = true
            handler.outbox.wantsToRead(self)
            return false
        case .ended(let error):
            end(error)
            return false
        }
        return true
    }

    /// Gets the next messages from the store.
    func read() {
        isBehind = false
        hasTurn = true
        guard let subscription, handler != nil else { return endTurn() }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        task = Task { [eventLoop] in
            do throws(StreamEnd) {
                let messages = try await subscription.next()
                eventLoop.execute { bound.value.perform(.messages(messages)) }
            } catch {
                eventLoop.execute { bound.value.perform(.ended(error)) }
            }
        }
    }

    private func end(_ error: any Error) {
        endTurn()
        forget()
        handler?.ended(id, error)
    }

    private func forget() {
        subscription = nil
        // It holds us.
        wake = nil
        pieces = []
        page = nil
    }

    private func endTurn() {
        guard hasTurn else { return }
        hasTurn = false
        handler?.outbox.endTurn()
    }
}

@available(*, unavailable)
extension SocketReader: Sendable {}

/// Messages of one chat as they are written to sockets, to be shared by them: as few pieces as the size of what is written
/// at a time allows, each of whole frames.
struct LivePieces: MessageForm {
    private(set) var pieces: [ByteBuffer] = []

    var bytes: Int { pieces.bytes }

    init(_ messages: [Message], of chat: Chat.Number) {
        var piece = ByteBuffer()
        for (index, message) in messages.enumerated() {
            if piece.readableBytes >= ServerSentEvents.pieceSize {
                pieces.append(piece)
                piece = ByteBuffer()
            }
            if piece.capacity == 0 { piece.reserveCapacity(ServerSentEvents.size(of: messages[index...])) }
            piece.writeFrame(.text, LiveMessage(chat: chat, message: message).text)
        }
        if piece.readableBytes > 0 { pieces.append(piece) }
    }
}
