import ChatCore
import HTTPTypes
import NIOCore

struct ChatsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        routes.onJSON(.post, "/applications/{token}/chats", takesBody: true, scopes.tenant(.write, as: .create, create))
        routes.onJSON(.get, "/applications/{token}/chats", scopes.tenant(.read, list))
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}", scopes.chat(.read, show))
        routes.onJSON(
            .patch, "/applications/{token}/chats/{chat_number}", takesBody: true, scopes.chat(.write, update))
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}/message_count", scopes.chat(.read, messageCount))
    }

    @Sendable private func create(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let body = try call.request.typedBody()
        let settings = try ChatParameters(body, mayBeEmpty: true).patch
        let key = try call.request.idempotencyKey().map {
            try IdempotencyKey($0, content: tenant.fingerprinted(Array(body.bytes.readableBytesView)))
        }
        return .task {
            let chat = try await tenant.createChat(settings, key: key)
            var response = Response.created(
                at: "\(tenant.path)/chats/\(chat.number.rawValue)",
                ChatCreatedAnswer(number: chat.number))
            if chat.isReplay { response.replay() }
            return response
        }
    }

    @Sendable private func list(_ call: Call, _ tenant: TenantScope) throws -> EndpointResult {
        let page = try Page(QueryItems(call.request.query))
        return .task {
            let chats = try await tenant.chats(page)
            var response = Response(json: chats.items.map(ChatItem.init))
            let path = "\(tenant.path)/chats"
            response.add("Link", chats.links(path: path, page: page, number: \.number.rawValue))
            return response
        }
    }

    @Sendable private func show(_ call: Call, _ chat: ChatScope) -> EndpointResult {
        .task { Response(json: ChatAnswer(chat: try await chat.details())) }
    }

    @Sendable private func update(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let patch = try ChatParameters(call.request.typedBody()).patch
        return .task { Response(json: ChatAnswer(chat: try await chat.update(patch))) }
    }

    @Sendable private func messageCount(_ call: Call, _ chat: ChatScope) -> EndpointResult {
        .task {
            // The deletions first: each of them is of a message that is counted.
            let deleted = try await chat.deletedCount()
            return Response(
                json: ChatCountAnswer(number: chat.number, count: try await chat.messageCount(), deleted: deleted))
        }
    }
}

extension ChatScope {
    /// The chat's path in the API.
    var path: String { "\(tenant.path)/chats/\(number.rawValue)" }
}
