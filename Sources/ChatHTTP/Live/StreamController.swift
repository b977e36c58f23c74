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

    /// All that can be refused is refused before the answer begins.
    private func stream(_ request: Request, _ context: ChatContext, _ chat: ChatScope) async throws -> Response {
        let subscription = try await chat.subscribe(after: request.streamCursor())
        context.whenClientLeaves { subscription.cancel() }
        if request.method != .head {
            let (limits, metrics) = (limits, metrics)
            let mayStream = try await context.leaveHTTP(.stream) { version in
                let isChunked = version != .http1_0
                return [EventStreamHandler(subscription, isChunked: isChunked, limits: limits, metrics: metrics)]
            }
            guard mayStream else { throw ChatError.invalid(["A request for a stream has no body"]) }
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream",
                // Not even compressed: what changes a stream also holds it back.
                .cacheControl: "no-store, no-transform",
                .xAccelBuffering: "no",
                // A stream has its connection to itself, and takes it along.
                .connection: "close",
            ])
    }
}

extension Request {
    /// Where a stream is to start: a browser that reconnects tells what it saw last, and repeats the query it began with.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    fileprivate func streamCursor() throws(ChatError) -> Cursor? {
        var errors: [String] = []
        let after = QueryItems(uri.query)["after"].flatMap { Cursor.read($0, "After", &errors) }
        // An empty one is how a client says that it has seen none.
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
