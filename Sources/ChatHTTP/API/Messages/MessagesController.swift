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
        let content = try chat.content(
            sent.requiredBody(), sender: sent.sender, metadata: sent.metadata, thread: sent.thread,
            replyTo: sent.replyTo)
        let key = try call.request.idempotencyKey().map { try IdempotencyKey($0, content: content.fingerprinted) }
        if content.refersToMessages {
            return .task {
                try await chat.checkReferences(of: content)
                return try await Self.created(try await chat.send(content, key: key), content, in: chat)
            }
        }
        return .later { reply in
            chat.send(content, key: key, on: call.eventLoop) { result in
                switch result {
                case .success(let sent) where sent.isReplay:
                    Task { reply(await Result.catching { try await Self.created(sent, content, in: chat) }) }
                case .success(let sent):
                    reply(.success(Self.created(Message(sent, content), in: chat)))
                case .failure(let error): reply(.failure(error))
                }
            }
        }
    }

    /// - Returns: for a replay the message as it is now: it may have changed since the first request.
    private static func created(
        _ sent: AppendedMessage, _ content: MessageContent, in chat: ChatScope
    ) async throws -> Response {
        guard sent.isReplay else { return created(Message(sent, content), in: chat) }
        var response = created(try await chat.message("\(sent.number.rawValue)"), in: chat)
        response.replay()
        return response
    }

    private static func created(_ message: Message, in chat: ChatScope) -> Response {
        .created(at: "\(chat.path)/messages/\(message.number.rawValue)", MessageJSON(message, as: .answer))
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let number = call.parameters.messageNumber
        if let message = try chat.messageNow(number) { return .now(Response(message: message)) }
        return .wait { Response(message: try await chat.message(number)) }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (page, around) = try Page.list(QueryItems(call.request.query))
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        var short = bounded
        short.bytes = min(short.bytes, Self.shortPage)
        // Before the rows: what changes meanwhile is told a second time.
        if let head = try chat.headNow(), let messages = try chat.messagesNow(short, around: around) {
            memory.release()
            return .now(Self.list(messages, page, of: chat, head))
        }
        return .task {
            defer { memory.release() }
            let head = try await chat.head()
            return Self.list(try await chat.messages(bounded, around: around), page, of: chat, head)
        }
    }

    private static func list(
        _ messages: PageOf<Message>, _ page: Page, of chat: ChatScope, _ head: Cursor
    ) -> Response {
        let answer = MessagesAnswer(messages: messages.items)
        var response = Response(json: answer, size: answer.size)
        response.add("Luciq-Cursor", head.description)
        response.add("Link", messages.links(path: "\(chat.path)/messages", page: page, number: \.number.rawValue))
        return response
    }
}

extension Message {
    fileprivate init(_ sent: AppendedMessage, _ content: MessageContent) {
        self.init(number: sent.number, content: content, createdAt: sent.createdAt)
    }
}

extension Result where Failure == any Error {
    fileprivate static func catching(_ body: () async throws -> Success) async -> Result {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
