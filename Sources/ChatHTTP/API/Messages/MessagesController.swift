import ChatCore
import HTTPTypes
import Hummingbird

struct MessagesController {
    let scopes: Scopes
    let budget: ByteBudget

    private static let body = TextParameter(wrapper: "message", name: "body")

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/messages"
        routes.onJSON(.post, path, scopes.chat(create))
        routes.onJSON(.get, path, scopes.chat(list))
        routes.onJSON(.get, path + "/search", scopes.chat(search))
        routes.onJSON(.get, path + "/{message_number}", scopes.chat(show))
    }

    private func create(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let content = MessageContent(body: try await Self.body.read(request.wholeBody()))
        let key = try request.idempotencyKey().map { try IdempotencyKey($0, content: content.fingerprinted) }
        let message = try await chat.send(content, key: key)
        var response = Response.created(
            at: "\(chat.path)/messages/\(message.number.rawValue)",
            MessageJSON(Message(number: message.number, content: content, createdAt: message.createdAt), as: .answer))
        if message.isReplay { response.headers[.idempotentReplayed] = "true" }
        return response
    }

    private func show(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let message = try await chat.message(context.parameter("message_number"))
        return Response(json: MessageJSON(message, as: .answer))
    }

    private func list(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let page = try Page(QueryItems(request.uri.query))
        let (bounded, memory) = try budget.bounded(page, for: context.client)
        defer { withExtendedLifetime(memory) {} }
        let messages = try await chat.messages(bounded)
        var response = Response(json: messages.items.map { MessageJSON($0) })
        response.headers[.link] = messages.links(
            path: "\(chat.path)/messages", page: page, number: \.number.rawValue)
        return response
    }

    private func search(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let query = QueryItems(request.uri.query)
        let page = try Page(query)
        guard let q = query["q"] ?? "" else { throw ChatError.invalid(["Q must be percent-encoded UTF-8"]) }
        let text = try SearchText(q)
        let (bounded, memory) = try budget.bounded(page, for: context.client)
        defer { withExtendedLifetime(memory) {} }
        let messages = try await context.whileClientStays { try await chat.search(text, bounded) }
        var response = Response(json: messages.items.map { MessageJSON($0) })
        response.headers[.link] = messages.links(
            path: "\(chat.path)/messages/search", page: page, extra: "&q=\(q.percentEncoded)",
            number: \.number.rawValue)
        return response
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
