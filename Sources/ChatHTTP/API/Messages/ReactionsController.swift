import ChatCore
import HTTPTypes

/// Reactions to messages. A key of the application, or the path's token, acts for a user: `?user=u1`.
struct ReactionsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/messages/{message_number}/reactions"
        routes.onJSON(.get, path, scopes.chat(.read, list))
        // Without .json behind it: a name may end so.
        routes.on(.put, path + "/{reaction}", scopes.chat(.write, put))
        routes.on(.delete, path + "/{reaction}", scopes.chat(.write, delete))
    }

    @Sendable private func put(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        try react(call, chat, isTakenBack: false)
    }

    @Sendable private func delete(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        try react(call, chat, isTakenBack: true)
    }

    private func react(_ call: Call, _ chat: ChatScope, isTakenBack: Bool) throws -> EndpointResult {
        let (number, name) = (call.parameters.messageNumber, String(percentEncoded: call.parameters.reaction))
        let change = try chat.reacting(to: number, with: name, as: try call.named(), isTakenBack: isTakenBack)
        return .later { reply in
            chat.submit(change, on: call.eventLoop) { result in
                reply(
                    result.map { changed in
                        let message = changed.message
                        return Response(
                            json: ReactedAnswer(message: message), size: 64 + (message.reactions?.utf8.count ?? 0))
                    }.mapError { $0 })
            }
        }
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let query = QueryItems(call.request.query)
        let page = try Page(query)
        let (number, name) = (call.parameters.messageNumber, query["name"] ?? nil)
        return .task {
            let users = try await chat.users(reacting: name, to: number, page)
            var response = Response(json: users.items.map(ReactingUserItem.init), size: 64 * users.items.count)
            let path = "\(chat.path)/messages/\(number)/reactions"
            let extra = "&name=\((name ?? "").percentEncoded)"
            response.add("Link", users.links(path: path, page: page, extra: extra, number: \.revision))
            return response
        }
    }
}

private struct ReactedAnswer: JSONWritable {
    let message: Message

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("message_number", message.number.rawValue)
            json.member("reactions", ReactionsJSON(message))
        }
    }
}

private struct ReactingUserItem: JSONWritable {
    let user: ReactingUser

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("user", user.user.text)
            json.member("rev", user.revision)
        }
    }
}
