import ChatCore
import HTTPTypes
import Hummingbird

struct ChatsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        routes.onJSON(.post, "/applications/{token}/chats", scopes.tenant(create))
        routes.onJSON(.get, "/applications/{token}/chats", scopes.tenant(list))
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}", scopes.chat(show))
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}/message_count", scopes.chat(messageCount))
    }

    private func create(_ request: Request, _ context: ChatContext, _ tenant: TenantScope) async throws -> Response {
        let body = try await request.wholeBody()
        switch body {
        case .json(let json) where json.readableBytes > 0: try JSONReader.read(json) { _, reader in try reader.value() }
        case .json: break
        case .form(let form): try FormBody.read(form) { _, _ in }
        }
        let key = try request.idempotencyKey().map {
            try IdempotencyKey($0, content: body.bytes.readableBytesView)
        }
        let chat = try await tenant.createChat(key: key)
        var response = Response.created(
            at: "/applications/\(tenant.token.text)/chats/\(chat.number.rawValue)",
            ChatCreatedAnswer(number: chat.number))
        if chat.isReplay { response.headers[.idempotentReplayed] = "true" }
        return response
    }

    private func list(_ request: Request, _ context: ChatContext, _ tenant: TenantScope) async throws -> Response {
        let page = try Page(QueryItems(request.uri.query))
        let chats = try await tenant.chats(page)
        var response = Response(json: chats.items.map(ChatItem.init))
        let path = "/applications/\(tenant.token.text)/chats"
        response.headers[.link] = chats.links(path: path, page: page, number: \.number.rawValue)
        return response
    }

    private func show(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        Response(json: ChatAnswer(chat: try await chat.details()))
    }

    private func messageCount(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        Response(json: ChatCountAnswer(number: chat.number, count: try await chat.messageCount()))
    }
}

extension ChatScope {
    /// The chat's path in the API.
    var path: String { "/applications/\(tenant.token.text)/chats/\(number.rawValue)" }
}
