import ChatCore
import Foundation
import Hummingbird

/// Adds a create and a look-up under `/noop`, with the paths, the bodies and the answers of the product's own, and
/// nothing behind them: what the HTTP stack alone can do. And `/noop/hang`, which never gives its thread back: for a
/// test of what a shutdown does then.
package func addNoopRoutes(to routes: Routes, onHang: @escaping @Sendable () -> Void = {}) {
    let parameter = TextParameter(wrapper: "message", name: "body")
    let createdAt = WallClock.system.now()
    let path = "/noop/{token}/chats/{chat_number}/messages"
    routes.on(.post, path) { request, _ in
        let body = try await parameter.read(request.wholeBody())
        let message = Message(number: Message.Number(1), body: body, createdAt: createdAt)
        return .created(at: request.uri.path + "/1", MessageJSON(message, as: .answer))
    }
    let message = Message(
        number: Message.Number(1), body: String(repeating: "message text ", count: 8), createdAt: createdAt)
    routes.on(.get, "/noop/hang") { _, _ in
        onHang()
        while true { sleep(1_000) }
    }
    routes.on(.get, path + "/{message_number}") { _, _ in Response(json: MessageJSON(message, as: .answer)) }
}
