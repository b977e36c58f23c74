import ChatCore
import HTTPTypes
import NIOCore

/// What an endpoint makes of a request.
package enum EndpointResult: Sendable {
    /// The answer is there.
    case now(Response)
    /// The answer comes by a callback: once, on any thread. `start` must not block.
    case later(_ start: @Sendable (_ reply: @escaping Reply) -> Void)
    /// The answer takes a task: for what asks a server, or takes long.
    case task(@Sendable () async throws -> Response)
    /// The answer takes a task that does little but wait for a server. It runs on the event loop, so that the answer needs
    /// no other thread.
    case wait(@Sendable () async throws -> Response)

    package typealias Reply = @Sendable (Result<Response, any Error>) -> Void
}

/// A function from a request to its answer. It is called on the connection's event loop where all it needs is known, and must
/// not block it; elsewhere on any thread.
package typealias Endpoint = @Sendable (Call) throws -> EndpointResult

/// A request in hand, as endpoints see it.
package final class Call: Sendable {
    package let request: Request
    let destination: API.Destination
    /// When it had come.
    let start = NIODeadline.now()
    package let requestID: RequestID
    /// Who holds what is kept for the connection.
    let client: ClientAddress
    /// The connection's.
    let eventLoop: any EventLoop
    private let connection: NIOLoopBound<HTTPConnection>

    /// To be made on the event loop.
    init(
        _ request: Request, to destination: API.Destination, client: ClientAddress, connection: HTTPConnection,
        eventLoop: any EventLoop
    ) {
        self.request = request
        self.destination = destination
        self.requestID = RequestID(of: request.headers)
        self.client = client
        self.eventLoop = eventLoop
        self.connection = NIOLoopBound(connection, eventLoop: eventLoop)
    }

    /// What stands in the path for the route's parameters.
    var parameters: PathParameters {
        if case .endpoint(_, let parameters) = destination { parameters } else { PathParameters() }
    }

    var isHead: Bool { request.method == .head }

    /// Calls `body` once if the client closes the connection, or its sending side, before the answer has ended. A client
    /// that is only done with sending cannot be told from one that is gone until something is written.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop {
            connection.value.whenClientLeaves(body)
        } else {
            eventLoop.execute { self.connection.value.whenClientLeaves(body) }
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
            throw ChatError.invalid(["The connection must stay open until the answer arrives"])
        }
    }
}

/// What stands in a path for `{token}`, `{chat_number}` and `{message_number}`; empty where the route has none, which no
/// look-up accepts.
struct PathParameters: Sendable {
    private(set) var token: Substring = ""
    private(set) var chatNumber: Substring = ""
    private(set) var messageNumber: Substring = ""

    mutating func append(_ value: Substring, depth: Int) {
        switch depth {
        case 0: token = value
        case 1: chatNumber = value
        default: messageNumber = value
        }
    }

    /// In the order in which paths have them.
    static let names = ["{token}", "{chat_number}", "{message_number}"]
}
