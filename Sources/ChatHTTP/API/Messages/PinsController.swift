import ChatCore
import HTTPTypes

/// The pinned messages of a chat.
struct PinsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        let path = "/applications/{token}/chats/{chat_number}/pins"
        routes.onJSON(.get, path, scopes.chat(.read, list))
        routes.onJSON(.put, path + "/{message_number}", scopes.chat(.write, pin))
        routes.onJSON(.delete, path + "/{message_number}", scopes.chat(.write, unpin))
    }

    @Sendable private func list(_ call: Call, _ chat: ChatScope) -> EndpointResult {
        .task {
            let pins = try await chat.pins()
            return Response(json: pins.map(PinJSON.init), size: 96 * pins.count)
        }
    }

    @Sendable private func pin(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (number, user) = (call.parameters.messageNumber, try call.named())
        return .task { Response(json: PinJSON(pin: try await chat.pin(number, as: user))) }
    }

    @Sendable private func unpin(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let (number, user) = (call.parameters.messageNumber, try call.named())
        return .task { Response(json: UnpinnedAnswer(number: try await chat.unpin(number, as: user))) }
    }
}

private struct UnpinnedAnswer: JSONWritable {
    let number: Message.Number

    func write(to json: inout JSONWriter) { json.object { $0.member("number", number.rawValue) } }
}
