import ChatCore
import HTTPTypes

/// Live messages as server-sent events.
struct StreamController {
    let scopes: Scopes
    let limits: LiveLimits
    let metrics: LiveMetrics

    func add(to routes: Routes) {
        routes.on(.get, "/applications/{token}/chats/{chat_number}/stream", scopes.chat(stream))
    }

    /// All that can be refused is refused before the answer begins.
    @Sendable private func stream(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let cursor = try call.request.streamCursor()
        return .task { [limits, metrics] in
            let subscription = try await chat.subscribe(after: cursor)
            call.whenClientLeaves { subscription.cancel() }
            var response = Response(contentType: "text/event-stream")
            // Not even compressed: what changes a stream also holds it back.
            response.cacheControl = "no-store, no-transform"
            response.add("X-Accel-Buffering", "no")
            // A stream has its connection to itself, and takes it along.
            response.departure = .stream { isChunked in
                [EventStreamHandler(subscription, isChunked: isChunked, limits: limits, metrics: metrics)]
            }
            return response
        }
    }
}

extension Request {
    /// The cursor at which a stream starts. A browser that reconnects sends the last id it saw, and repeats its first
    /// query: so `Last-Event-ID` wins.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    fileprivate func streamCursor() throws(ChatError) -> Cursor? {
        var errors: [String] = []
        let after = QueryItems(query)["after"].flatMap { Cursor.read($0, "After", &errors) }
        // An empty one is how a client says that it has seen none.
        let seen = headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 }
        let lastEventID = seen.flatMap { Cursor.read($0, "Last-Event-ID", &errors) }
        guard errors.isEmpty else { throw .invalid(errors) }
        return lastEventID ?? after
    }
}
