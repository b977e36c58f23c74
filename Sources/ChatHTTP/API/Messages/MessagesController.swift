import ChatCore
import HTTPTypes

struct MessagesController {
    let scopes: Scopes
    let budget: ByteBudget

    private static let body = TextParameter(wrapper: "message", name: "body")

    /// The limit of a page's bodies, in bytes, to read it on the event loop: larger ones would delay other connections.
    private static let shortPage = 64 << 10

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/messages"
        routes.onJSON(.post, path, takesBody: true, scopes.chat(create))
        routes.onJSON(.get, path, scopes.chat(list))
        routes.onJSON(.get, path + "/search", scopes.chat(search))
        routes.onJSON(.get, path + "/{message_number}", scopes.chat(show))
    }

    @Sendable private func create(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let content = MessageContent(body: try Self.body.read(call.request.typedBody()))
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
        if message.isReplay { response.add("Idempotent-Replayed", "true") }
        return response
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let number = call.parameters.messageNumber
        if let message = try chat.messageNow(number) { return .now(Response(json: MessageJSON(message, as: .answer))) }
        return .wait { Response(json: MessageJSON(try await chat.message(number), as: .answer)) }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let page = try Page(QueryItems(call.request.query))
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        var short = bounded
        short.bytes = min(short.bytes, Self.shortPage)
        if let messages = try chat.messagesNow(short) {
            memory.release()
            return .now(Self.list(messages, page, of: chat))
        }
        return .task {
            defer { memory.release() }
            return Self.list(try await chat.messages(bounded), page, of: chat)
        }
    }

    private static func list(_ messages: PageOf<Message>, _ page: Page, of chat: ChatScope) -> Response {
        let answer = MessagesAnswer(messages: messages.items)
        var response = Response(json: answer, size: answer.size)
        response.add("Link", messages.links(path: "\(chat.path)/messages", page: page, number: \.number.rawValue))
        return response
    }

    @Sendable private func search(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let query = QueryItems(call.request.query)
        let page = try Page(query)
        guard let q = query["q"] ?? "" else { throw ChatError.invalid(["Q must be percent-encoded UTF-8"]) }
        let text = try SearchText(q)
        let (bounded, memory) = try budget.bounded(page, for: call.client)
        return .task {
            defer { memory.release() }
            let messages = try await call.whileClientStays { try await chat.search(SearchQuery(text), bounded) }
            var response = Response(json: MessagesAnswer(messages: messages.items))
            response.add(
                "Link",
                messages.links(
                    path: "\(chat.path)/messages/search", page: page, extra: "&q=\(q.percentEncoded)",
                    number: \.number.rawValue))
            return response
        }
    }
}

extension String {
    /// The text with all but RFC 3986's unreserved characters as `%XX`.
    fileprivate var percentEncoded: String {
        utf8.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let hex = String(byte, radix: 16, uppercase: true)
                text += hex.count == 1 ? "%0\(hex)" : "%\(hex)"
            }
        }
    }
}
