import Hummingbird

/// Adds `POST /noop` and `GET /noop`: the JSON work of a message's create and look-up, and nothing else.
package func addNoopRoutes(to routes: Routes) {
    let parameter = TextParameter(wrapper: "message", name: "body")
    routes.on(.post, "/noop") { request, _ in
        let body = try await parameter.read(request.jsonBody())
        return Response(
            status: .created,
            json: MessageAnswer(message_number: 1, body: body, created_at: "2026-11-22T16:57:44.194Z"))
    }
    let body = String(repeating: "message text ", count: 8)
    routes.on(.get, "/noop") { _, _ in
        Response(json: MessageAnswer(message_number: 1, body: body, created_at: "2026-11-22T16:57:44.194Z"))
    }
}
