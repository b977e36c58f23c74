import ChatCore
import HTTPTypes

/// What passes in a chat: somebody writes.
struct SignalsController {
    let scopes: Scopes

    func add(to routes: Routes) {
        // It stores nothing, and costs as little as a read.
        routes.onJSON(
            .post, "/applications/{token}/chats/{chat_number}/typing", scopes.chat(.write, as: .read, type))
    }

    @Sendable private func type(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let name = try call.named()
        return .task {
            try await chat.type(as: name)
            return Response(status: .noContent)
        }
    }
}
