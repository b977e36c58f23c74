import ChatCore
package import Hummingbird
import NIOCore
import NIOHTTP1

/// What travels with a request through middleware and controllers.
package struct ChatContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The caller's `X-Request-Id`, or a new one; set by `RequestIDMiddleware`.
    package var requestID = ""
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.channel = source.channel
    }

    /// A parameter of the path; empty where the route has none, which no look-up accepts.
    package func parameter(_ name: String) -> Substring { coreContext.parameters[name[...]] ?? "" }

    /// Who holds what is kept for the connection.
    var client: ClientAddress { ClientAddress(channel.remoteAddress) }

    /// That the connection came to.
    var localPort: Int? { channel.localAddress?.port }

    /// Calls `body` once if the client closes the connection, or its sending side, before the answer has ended. A client
    /// that is only done with sending cannot be told from one that is gone until something is written.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute {
            // A pipeline without its guard is one that was closed.
            guard let connection else { return body() }
            connection.whenClientLeaves(body)
        }
    }

    /// Runs `body`, and cancels it when the client leaves: for what takes long and changes nothing.
    ///
    /// - Throws: `ChatError.invalid` when the client left.
    func whileClientStays<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let work = Task(operation: body)
        whenClientLeaves { work.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
        } catch is CancellationError where !Task.isCancelled {
            // Read only by a client that has closed no more than its sending side.
            throw ChatError.invalid(["The connection must stay open until the answer has come"])
        }
    }

    /// Lets the connection leave HTTP with this request: after an answer of 101, or the head of a stream, the handlers have it.
    ///
    /// - Returns: false when this request cannot do that.
    /// - Throws: `.overloaded` when there are as many streams as may be.
    func leaveHTTP(
        _ departure: Departure.Kind, to handlers: @escaping @Sendable (HTTPVersion) -> [any ChannelHandler]
    ) async throws -> Bool {
        let mayLeave = channel.eventLoop.submit { try connection?.prepare(departure, to: handlers) ?? false }
        guard try await mayLeave.get() else { return false }
        Departure.current?.prepare()
        return true
    }

    private var connection: ConnectionGuard? {
        try? channel.pipeline.syncOperations.handler(type: ConnectionGuard.self)
    }
}
