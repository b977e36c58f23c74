import ChatCore
import HTTPTypes
import NIOCore

/// Live messages as server-sent events.
struct StreamController {
    let scopes: Scopes
    let limits: LiveLimits
    let metrics: LiveMetrics

    func add(to routes: Routes) {
        routes.on(
            .get, "/applications/{token}/chats/{chat_number}/stream",
            Self.soft(scopes.chat(.read, as: .stream, showing: { $0.authorizationOrTicket }, stream)))
    }

    /// With `?soft=1` a refusal is a stream that ends at once, with the reason in its event: any other status ends a
    /// browser's EventSource for good, and a page does not see it.
    private static func soft(_ endpoint: @escaping Endpoint) -> Endpoint {
        { call in
            guard QueryItems(call.request.query)["soft"] == "1" else { return try endpoint(call) }
            do {
                let result = try endpoint(call)
                return .task { do { return try await result.response() } catch { return try refusal(error) } }
            } catch {
                return .now(try refusal(error))
            }
        }
    }

    private static func refusal(_ error: any Error) throws -> Response {
        let problem: Problem
        switch error {
        case let error as Problem: problem = error
        case let error as ChatError: problem = Problem(error)
        default: throw error
        }
        let isPassing = [429, 503].contains(problem.status.code)
        var body = ByteBuffer(string: "retry: \((problem.retryAfter ?? 1) * 1000)\n")
        body.writeImmutableBuffer(ServerSentEvents.close(problem.code, reconnect: isPassing, at: problem.cursor))
        var response = Response(contentType: "text/event-stream", body: body)
        response.cacheControl = "no-store, no-transform"
        return response
    }

    /// Refuses with a problem, before the stream begins.
    @Sendable private func stream(_ call: Call, _ chat: ChatScope) throws -> EndpointResult {
        let start = try call.request.streamStart()
        return .task { [limits, metrics] in
            let slot = try chat.tenant.access.openStream()
            let subscription = try await chat.subscribe(
                after: start.cursor, hasChanges: start.hasChanges, hasReads: start.hasReads, presence: start.presence,
                holding: slot)
            call.whenClientLeaves { subscription.cancel() }
            var response = Response(contentType: "text/event-stream")
            // `no-transform`: a proxy that compresses a stream also delays it.
            response.cacheControl = "no-store, no-transform"
            response.add("X-Accel-Buffering", "no")
            response.tenant = chat.tenant.id
            // The connection closes with its stream.
            response.departure = .stream { isChunked in
                [EventStreamHandler(subscription, isChunked: isChunked, limits: limits, metrics: metrics)]
            }
            return response
        }
    }
}

/// Where a stream of a chat starts.
struct StreamStart: Equatable, Sendable {
    /// Nil: at the head.
    var cursor: Cursor?
    /// Whether it has changes, too. A cursor that has a revision says so by itself.
    var hasChanges = false
    /// Whether it tells how far others have read.
    var hasReads = false
    /// Users of whom it tells whether they are online.
    var presence: [User.ID] = []
}

extension Request {
    /// Where a stream starts. A browser that reconnects sends the last id it saw, and repeats its first
    /// query: so `Last-Event-ID` wins.
    ///
    /// - Throws: `ChatError.invalid` with a sentence for each bad value.
    fileprivate func streamStart() throws(ChatError) -> StreamStart {
        var errors: [String] = []
        let after = QueryItems(query)["after"].flatMap { Cursor.read($0, "After", &errors) }
        // Empty if the client has seen no event.
        let seen = headers[.lastEventID].flatMap { $0.isEmpty ? nil : $0 }
        let lastEventID = seen.flatMap { Cursor.read($0, "Last-Event-ID", &errors) }
        func flag(_ name: StaticString, _ title: String) -> Bool {
            let value = QueryItems(query)[name].map { $0 ?? "" }
            if let value, !["0", "1"].contains(value) { errors.append("\(title) must be 1 or 0") }
            return value == "1"
        }
        var start = StreamStart(
            cursor: lastEventID ?? after, hasChanges: flag("changes", "Changes"), hasReads: flag("reads", "Reads"))
        do { start.presence = try users(in: "presence", named: "Presence") ?? [] } catch {
            if case .invalid(let sentences) = error { errors += sentences }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return start
    }
}
