import ChatCore
import HTTPTypes
import Hummingbird
import NIOHTTP1

/// Live messages as server-sent events.
struct StreamController {
    let scopes: Scopes
    let limits: LiveLimits
    let metrics: LiveMetrics

    func add(to routes: Routes) {
        routes.on(.get, "/applications/{token}/chats/{chat_number}/stream", scopes.chat(stream))
    }

    /// Refuses with a problem, before the stream begins.
    private func stream(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let subscription = try await chat.subscribe(after: request.streamCursor())
        context.whenClientLeaves { subscription.cancel() }
        if request.method != .head {
            let (limits, metrics) = (limits, metrics)
            let mayStream = try await context.leaveHTTP(.stream) { version in
                let isChunked = version != .http1_0
                return [EventStreamHandler(subscription, isChunked: isChunked, limits: limits, metrics: metrics)]
            }
            guard mayStream else { throw ChatError.invalid(["A request for a stream must not have a body"]) }
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream",
                // `no-transform`: a proxy that compresses a stream also delays it.
                .cacheControl: "no-store, no-transform",
                .xAccelBuffering: "no",
                // The connection closes with its stream.
                .connection: "close",
            ])
    }
}

extension Request {
    /// The cursor at which a stream starts. A browser that reconnects sends the last id it saw, and repeats its first
    /// query: so `Last-Event-ID` wins.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    fileprivate func streamCursor() throws(ChatError) -> Cursor? {
        var errors: [String] = []
        let after = QueryItems(uri.query)["after"].flatMap { Cursor.read($0, "After", &errors) }
        // Empty if the client has seen no event.
        let seen = headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 }
        let lastEventID = seen.flatMap { Cursor.read($0, "Last-Event-ID", &errors) }
        guard errors.isEmpty else { throw .invalid(errors) }
        return lastEventID ?? after
    }
}

extension HTTPField.Name {
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
    fileprivate static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering")!
}
