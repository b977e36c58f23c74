import ChatCore
import NIOCore

/// Lets tasks report to the connection that they work for.
struct SocketOutlet: Sendable {
    let eventLoop: any EventLoop
    private let handler: NIOLoopBound<WebSocketHandler>

    /// Must be called on the event loop.
    init(_ handler: WebSocketHandler, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
    }

    func authenticated(_ outcome: Result<Void, any Error>, ref: String?) {
        eventLoop.execute { handler.value.authenticated(outcome, ref: ref) }
    }

    func close(_ closure: WebSocketClosure) { eventLoop.execute { handler.value.close(closure) } }

    func finished(_ typing: SocketSession.Typing, _ failure: (any Error)?) {
        eventLoop.execute { handler.value.finished(typing, failure) }
    }

    func finished(_ watching: SocketSession.Watching, _ outcome: Result<PresenceWatch?, any Error>) {
        eventLoop.execute { handler.value.finished(watching, outcome) }
    }

    func tellPresence() { eventLoop.execute { handler.value.tellPresence() } }

    func finished(_ sending: SocketSession.Sending, _ outcome: Result<AppendedMessage, any Error>) {
        eventLoop.execute { handler.value.finished(sending, outcome) }
    }
}

extension SocketSession.Typing {
    /// Tells it, and reports the outcome.
    func run(_ tenant: TenantScope, _ outlet: SocketOutlet) async {
        do {
            _ = try await tenant.access.pay(.read)
            let name = try user.map { text throws(ChatError) in try User.ID(text, named: "User") }
            try await tenant.chat("\(chat.rawValue)").type(as: name)
            outlet.finished(self, nil)
        } catch {
            outlet.finished(self, error)
        }
    }
}

extension SocketSession.Watching {
    /// Begins to watch, and reports the outcome.
    func run(_ tenant: TenantScope, _ outlet: SocketOutlet) async {
        do {
            _ = try await tenant.access.pay(.read)
            let users = try Presence.users(self.users, named: "Users")
            outlet.finished(self, .success(users.isEmpty ? nil : try await tenant.watchPresence(of: users)))
        } catch {
            outlet.finished(self, .failure(error))
        }
    }
}

extension SocketSession.Sending {
    /// Stores the message, and reports the outcome.
    func run(_ tenant: TenantScope, _ outlet: SocketOutlet) async {
        do {
            let units = try await tenant.access.pay(.create)
            let chat = try await tenant.chat("\(chat.rawValue)")
            let content = try chat.content(content.body, sender: content.sender, mentions: content.mentions)
            let key = try key.map { try IdempotencyKey($0, content: content.fingerprinted) }
            let message = try await chat.send(content, key: key)
            if message.isReplay, let units { tenant.access.hasReplayed(units) }
            outlet.finished(self, .success(message))
        } catch {
            outlet.finished(self, .failure(error))
        }
    }
}

extension JSONWritable {
    /// The JSON as a message's text.
    var text: ByteBuffer {
        var json = JSONWriter()
        write(to: &json)
        return json.buffer
    }
}
