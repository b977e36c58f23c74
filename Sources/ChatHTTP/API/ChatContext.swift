import ChatCore
package import Hummingbird
import NIOCore
import NIOHTTP1

/// The request's context, which middleware and controllers share.
package struct ChatContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The caller's `X-Request-Id`, or a new one; set by `RequestIDMiddleware`.
    package var requestID = ""
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.channel = source.channel
    }

    /// A parameter of the path. Empty if the route has none; no look-up accepts an empty text.
    package func parameter(_ name: String) -> Substring { coreContext.parameters[name[...]] ?? "" }

    /// The client to which the connection's memory is attributed.
    var client: ClientAddress { ClientAddress(channel.remoteAddress) }

    /// The port that the client connected to.
    var localPort: Int? { channel.localAddress?.port }

    /// Calls `body` once if the client closes the connection, or its sending side, before the answer has ended. Until
    /// something is written, a client that closed only its sending side looks the same as one that is gone.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        channel.eventLoop.execute {
            // Only a closed pipeline lacks its guard.
            guard let connection else { return body() }
            connection.whenClientLeaves(body)
        }
    }

    /// Runs `body`, and cancels it when the client leaves. For slow work that changes nothing.
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
            // Only a client that closed just its sending side reads this.
            throw ChatError.invalid(["The connection must stay open until the answer arrives"])
        }
    }

    /// Lets the connection leave HTTP with this request: after a 101, or the head of a stream, `handlers` take it over.
    ///
    /// - Returns: false if this request does not permit it.
    /// - Throws: `.overloaded` at the limit of streams.
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
