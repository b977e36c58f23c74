import ChatCore
import NIOCore

/// What tasks see of the connection that they work for.
struct SocketOutlet: Sendable {
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<WebSocketHandler>

    /// To be made on the event loop.
    init(_ handler: WebSocketHandler, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
    }

    func opened(_ id: SocketSession.SubscriptionID, cursor: Int64) {
        eventLoop.execute { handler.value.opened(id, cursor: cursor) }
    }

    func ended(_ id: SocketSession.SubscriptionID, _ end: any Error) {
        eventLoop.execute { handler.value.ended(id, end) }
    }

    func finished(_ sending: SocketSession.Sending, _ outcome: Result<AppendedMessage, any Error>) {
        eventLoop.execute { handler.value.finished(sending, outcome) }
    }

    /// - Throws: when the connection is closed.
    func takeTurn() async throws { try await eventLoop.flatSubmit { handler.value.outbox.takeTurn() }.get() }

    func endTurn() { eventLoop.execute { handler.value.outbox.endTurn() } }

    /// Writes messages, and returns when more may be written.
    ///
    /// - Throws: when the connection is closed.
    func write(_ texts: [ByteBuffer], of id: SocketSession.SubscriptionID) async throws {
        try await eventLoop.flatSubmit { handler.value.write(texts, of: id) }.get()
    }
}

/// Reads one chat for a connection, from the look-up to the subscription's end.
struct SocketReader: Sendable {
    let id: SocketSession.SubscriptionID
    let chat: Chat.Number
    let after: Int64?
    let tenant: TenantScope
    let outlet: SocketOutlet

    func run() async {
        do {
            let subscription = try await tenant.chat("\(chat.rawValue)").subscribe(after: after)
            outlet.opened(id, cursor: subscription.cursor)
            while true { try await deliver(from: subscription) }
        } catch {
            outlet.ended(id, error is ChannelError || error is CancellationError ? StreamEnd.cancelled : error)
        }
    }

    private func deliver(from subscription: ChatSubscription) async throws {
        await subscription.waitForNews()
        try await outlet.takeTurn()
        defer { outlet.endTurn() }
        for piece in pieces(try await subscription.poll()) { try await outlet.write(piece, of: id) }
    }

    /// Messages as texts, as few pieces as the size of what is written at a time allows.
    private func pieces(_ messages: [Message]) -> [[ByteBuffer]] {
        var pieces: [[ByteBuffer]] = []
        var size = Int.max
        for message in messages {
            let text = LiveMessage(chat: chat, message: message).text
            if size >= ServerSentEvents.pieceSize {
                pieces.append([])
                size = 0
            }
            size += text.readableBytes
            pieces[pieces.count - 1].append(text)
        }
        return pieces
    }
}

extension SocketSession.Sending {
    /// Stores the message, and tells what came of it.
    func run(_ tenant: TenantScope, _ outlet: SocketOutlet) async {
        do {
            let key = try ref.map { try IdempotencyKey($0, content: body.utf8) }
            outlet.finished(self, .success(try await tenant.chat("\(chat.rawValue)").send(body, key: key)))
        } catch {
            outlet.finished(self, .failure(error))
        }
    }
}

extension JSONWritable {
    /// As the text of a message.
    var text: ByteBuffer {
        var json = JSONWriter()
        write(to: &json)
        return json.buffer
    }
}
