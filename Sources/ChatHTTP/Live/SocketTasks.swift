import ChatCore
import NIOCore

/// What tasks see of the connection that they work for.
struct SocketOutlet: Sendable {
    let eventLoop: any EventLoop
    private let handler: NIOLoopBound<WebSocketHandler>

    /// To be made on the event loop.
    init(_ handler: WebSocketHandler, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
    }

    func close(_ closure: WebSocketClosure) { eventLoop.execute { handler.value.close(closure) } }

    func finished(_ sending: SocketSession.Sending, _ outcome: Result<AppendedMessage, any Error>) {
        eventLoop.execute { handler.value.finished(sending, outcome) }
    }
}

extension SocketSession.Sending {
    /// Stores the message, and tells what came of it.
    func run(_ tenant: TenantScope, _ outlet: SocketOutlet) async {
        do {
            let key = try key.map { try IdempotencyKey($0, content: content.fingerprinted) }
            outlet.finished(self, .success(try await tenant.chat("\(chat.rawValue)").send(content, key: key)))
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
