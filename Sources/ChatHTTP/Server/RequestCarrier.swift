import ChatCore
import NIOCore

/// What carries a request: a connection of HTTP/1, or a stream of HTTP/2. It belongs to its event loop.
protocol RequestCarrier: AnyObject {
    var server: HTTPServer.Shared { get }
    var loop: LoopState { get }
    /// What the client showed last, and what it was found to give; only where requests follow one another.
    var recentAccess: RecentAccess? { get set }

    /// Calls `body` when the client leaves, or sends no more; at once if it has done so.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void)

    /// Takes an answer that was not available at once.
    func hasAnswer(_ result: Result<Response, any Error>, to call: Call)

    /// The request that is being answered.
    var call: Call? { get }

    /// Its answer, while that waits (`RefusalPace`).
    var paced: Result<Response, any Error>? { get set }
}

extension RequestCarrier {
    /// Calls the request's endpoint if it is the request's turn.
    ///
    /// - Returns: the answer if it is available at once; nil if `hasAnswer` will get it.
    func answerInTurn(_ call: Call) -> Result<Response, any Error>? {
        loop.turns.isNow(call, of: self) ? answer(call) : nil
    }

    func hasTurn(_ call: Call) {
        if self.call === call, let result = answer(call) { hasAnswer(result, to: call) }
    }

    /// The server shuts down: its answer does not wait.
    func quiesce() { if let paced, let call { hasAnswer(paced, to: call) } }

    /// Calls the request's endpoint.
    ///
    /// - Returns: the answer if it is available at once; nil if `hasAnswer` will get it.
    func answer(_ call: Call) -> Result<Response, any Error>? {
        switch server.api.answer(call) {
        case .failure(let error): return .failure(error)
        case .success(.now(let response)): return .success(response)
        case .success(.later(let start)): start(reply(to: call))
        case .success(.task(let body)): run(body, reply(to: call))
        case .success(.wait(let body)): run(body, reply(to: call), on: loop.executor)
        }
        return nil
    }

    /// Whether an answer waits: then `hasAnswer` will get it again.
    func isHeld(_ result: Result<Response, any Error>, to call: Call) -> Bool {
        guard paced == nil else {
            paced = nil
            return false
        }
        let wait = loop.turns.wait(of: result, to: call)
        guard wait > .zero else { return false }
        paced = result
        let carrier = NIOLoopBound<any RequestCarrier>(self, eventLoop: call.eventLoop)
        call.eventLoop.scheduleTask(in: TimeAmount(wait)) { carrier.value.hasAnswer(result, to: call) }
        return true
    }

    /// What the head of an answer has of its request.
    func form(for call: Call, isLast: Bool) -> Response.Form {
        Response.Form(
            requestID: call.requestID, date: loop.date.value,
            cors: server.api.corsLines(for: call) + call.deprecationLines, isHTTP10: call.request.isHTTP10,
            isLast: isLast)
    }

    private func run(
        _ body: @escaping @Sendable () async throws -> Response, _ reply: @escaping EndpointResult.Reply,
        on executor: LoopExecutor? = nil
    ) {
        Task(executorPreference: executor) {
            let result: Result<Response, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            reply(result)
        }
    }

    /// Returns a function that hands an answer to this carrier, from any thread.
    private func reply(to call: Call) -> EndpointResult.Reply {
        let eventLoop = call.eventLoop
        let carrier = NIOLoopBound<any RequestCarrier>(self, eventLoop: eventLoop)
        return { result in
            if eventLoop.inEventLoop {
                carrier.value.hasAnswer(result, to: call)
            } else {
                eventLoop.execute { carrier.value.hasAnswer(result, to: call) }
            }
        }
    }
}
