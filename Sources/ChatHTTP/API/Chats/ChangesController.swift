import ChatCore
import HTTPTypes

/// What has changed in a chat since a cursor.
struct ChangesController {
    let scopes: Scopes
    let budget: ByteBudget

    func add(to routes: Routes) {
        routes.onJSON(.get, "/applications/{token}/chats/{chat_number}/changes", scopes.chat(.read, list))
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (limit, cursor) = try Page.changes(QueryItems(call.request.query))
        let (page, memory) = try budget.bounded(Page(limit: limit), for: call.client)
        return .task {
            defer { memory.release() }
            let changes = try await chat.changes(after: cursor, limit: limit, bytes: page.bytes)
            return Response(json: ChangesAnswer(changes: changes), size: 256 * (changes.events.count + 1))
        }
    }
}

private struct ChangesAnswer: JSONWritable {
    let changes: ChatChanges

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("cursor", changes.cursor.description)
            json.member("more", changes.hasMore)
            json.member("events", changes.events.map { EventAnswer(cursor: $0.cursor, event: $0.event) })
        }
    }
}

private struct EventAnswer: JSONWritable {
    let cursor: Cursor
    let event: LiveEvents.Event

    func write(to json: inout JSONWriter) {
        json.object { json in
            switch event {
            case .message(let message):
                json.member("type", "message")
                json.member("cursor", cursor.description)
                json.member("message", MessageJSON(message))
            case .change(let change, let base):
                json.member("type", change.type)
                json.member("cursor", cursor.description)
                json.member("change", ChangeEventJSON(change, since: base))
            case .signal: break  // They are stored nowhere.
            }
        }
    }
}
