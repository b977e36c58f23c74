import ChatCore
import HTTPTypes

struct MessagesController {
    let scopes: Scopes
    let budget: ByteBudget

    /// The limit of a page's bodies, in bytes, to read it on the event loop: larger ones would delay other connections.
    private static let shortPage = 64 << 10

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/messages"
        routes.onJSON(.post, path, takesBody: true, scopes.chat(.write, as: .create, create))
        routes.onJSON(.get, path, scopes.chat(.read, list))
        routes.onJSON(.get, path + "/{message_number}", scopes.chat(.read, show))
    }

    @Sendable private func create(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let sent = try MessageParameters(call.request.typedBody())
        let content = try chat.content(sent.body, sender: sent.sender)
        let key = try call.request.idempotencyKey().map { try IdempotencyKey($0, content: content.fingerprinted) }
        return .later { reply in
            chat.send(content, key: key, on: call.eventLoop) { result in
                reply(result.map { Self.created($0, content, in: chat) }.mapError { $0 })
            }
        }
    }

    private static func created(
        _ message: AppendedMessage, _ content: MessageContent, in chat: ChatScope
    ) -> Response {
        var response = Response.created(
            at: "\(chat.path)/messages/\(message.number.rawValue)",
            MessageJSON(Message(number: message.number, content: content, createdAt: message.createdAt), as: .answer))
        if message.isReplay { response.replay() }
        return response
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let number = call.parameters.messageNumber
        if let message = try chat.messageNow(number) { return .now(Response(json: MessageJSON(message, as: .answer))) }
        return .wait { Response(json: MessageJSON(try await chat.message(number), as: .answer)) }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (page, around) = try Page.list(QueryItems(call.request.query))
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        var short = bounded
        short.bytes = min(short.bytes, Self.shortPage)
        if let messages = try chat.messagesNow(short, around: around) {
            memory.release()
            return .now(Self.list(messages, page, of: chat))
        }
        return .task {
            defer { memory.release() }
            return Self.list(try await chat.messages(bounded, around: around), page, of: chat)
        }
    }

    private static func list(_ messages: PageOf<Message>, _ page: Page, of chat: ChatScope) -> Response {
        let answer = MessagesAnswer(messages: messages.items)
        var response = Response(json: answer, size: answer.size)
        response.add("Link", messages.links(path: "\(chat.path)/messages", page: page, number: \.number.rawValue))
        return response
    }
}
