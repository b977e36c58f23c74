import ChatCore
import Hummingbird

/// Adds `POST /noop` and `GET /noop`: the JSON work of a message's create and look-up, and nothing else.
package func addNoopRoutes(to routes: Routes) {
    let parameter = TextParameter(wrapper: "message", name: "body")
    let createdAt = WallClock.system.now()
    routes.on(.post, "/noop") { request, _ in
        let body = try await parameter.read(request.jsonBody())
        let message = Message(number: Message.Number(1), body: body, createdAt: createdAt)
        return .created(at: "/noop/1", MessageAnswer(message: message))
    }
    let message = Message(
        number: Message.Number(1), body: String(repeating: "message text ", count: 8), createdAt: createdAt)
    routes.on(.get, "/noop") { _, _ in Response(json: MessageAnswer(message: message)) }
}
