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
            replyTo: sent.replyTo, isInMain: sent.isInMain, mentions: sent.mentions ?? [])
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
        guard sent.isReplay else {
            let message = Message(sent, content)
            // It is stored, whether its thread can be read or not.
            return created((try? await chat.tellingThread(message)) ?? message, in: chat)
        }
        var response = created(
            try await chat.tellingThread(try await chat.message("\(sent.number.rawValue)")), in: chat)
        response.replay()
        return response
    }

    private static func created(_ message: Message, in chat: ChatScope) -> Response {
        .created(at: "\(chat.path)/messages/\(message.number.rawValue)", MessageJSON(message, as: .answer))
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let number = call.parameters.messageNumber
        let known = try chat.messageNow(number)
        if let known, known.content.thread == nil { return .now(Response(message: known)) }
        return .wait {
            let message = if let known { known } else { try await chat.message(number) }
            return Response(message: try await chat.tellingThread(message))
        }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let query = QueryItems(call.request.query)
        let (page, around) = try Page.list(query)
        let thread = try Page.thread(query)
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        var short = bounded
        short.bytes = min(short.bytes, Self.shortPage)
        // Before the rows: what changes meanwhile is told a second time.
        if thread == nil, let head = try chat.headNow(), let messages = try chat.messagesNow(short, around: around),
            messages.items.allSatisfy({ $0.content.thread == nil })
        {
            memory.release()
            return .now(Self.list(messages, page, of: chat, head))
        }
        return .task {
            defer { memory.release() }
            let head = try await chat.head()
            let messages =
                if let thread { try await chat.replies(to: thread, bounded) } else {
                    try await chat.messages(bounded, around: around)
                }
            return Self.list(try await chat.tellingThreads(messages), page, in: thread, of: chat, head)
        }
    }

    private static func list(
        _ messages: PageOf<Message>, _ page: Page, in thread: Message.Number? = nil, of chat: ChatScope,
        _ head: Cursor
    ) -> Response {
        let answer = MessagesAnswer(messages: messages.items)
        var response = Response(json: answer, size: answer.size)
        response.add("Luciq-Cursor", head.description)
        response.add(
            "Link",
            messages.links(
                path: "\(chat.path)/messages", page: page, extra: thread.map { "&thread=\($0.rawValue)" } ?? "",
                number: \.number.rawValue))
        return response
    }
}

extension Result where Failure == any Error {
    fileprivate static func catching(_ body: () async throws -> Success) async -> Result {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
