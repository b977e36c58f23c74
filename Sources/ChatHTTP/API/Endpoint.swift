import ChatCore
import HTTPTypes
import NIOCore
import Synchronization

/// How an endpoint answers.
package enum EndpointResult: Sendable {
    /// The answer is available at once.
    case now(Response)
    /// The answer comes by `reply`, called once, on any thread. `start` must not block.
    case later(_ start: @Sendable (_ reply: @escaping Reply) -> Void)
    /// The answer takes a task: for work that takes long, or queries the database.
    case task(@Sendable () async throws -> Response)
    /// The answer takes a task that does little but wait for the database. The task runs on the event loop, which saves
    /// switches of threads.
    case wait(@Sendable () async throws -> Response)

    package typealias Reply = @Sendable (Result<Response, any Error>) -> Void
}

/// A function from a request to its answer. It must not block: it is called on the connection's event loop, or in a
/// task on any thread after a look-up.
package typealias Endpoint = @Sendable (Call) throws -> EndpointResult

/// A request with the connection or stream that carries it, for endpoints.
package final class Call: Sendable {
    package let request: Request
    let destination: API.Destination
    /// When the request was complete, as far as the endpoint needs it.
    let start = NIODeadline.now()
    package let requestID: RequestID
    /// The client's address: the peer's, or the one that a trusted proxy names.
    let address: IPAddress
    /// Whose shares the request uses: the address, of IPv6 its network.
    let client: IPAddress
    /// What the answer says to pages of other origins.
    let crossOrigin = Atomic(CrossOrigin.none)
    /// The connection's event loop.
    let eventLoop: any EventLoop
    private let carrier: NIOLoopBound<any RequestCarrier>
    private let deprecation = Mutex<Tenant.Deprecation?>(nil)

    /// Must be called on the event loop.
    init(
        _ request: Request, to destination: API.Destination, address: IPAddress, client: IPAddress,
        carrier: any RequestCarrier, eventLoop: any EventLoop
    ) {
        self.request = request
        self.destination = destination
        self.requestID = RequestID(of: request.headers)
        self.address = address
        self.client = client
        self.eventLoop = eventLoop
        self.carrier = NIOLoopBound(carrier, eventLoop: eventLoop)
    }

    /// The values of the route's parameters in the path.
    var parameters: PathParameters {
        if case .endpoint(_, let parameters) = destination { parameters } else { PathParameters(in: "") }
    }

    var isHead: Bool { request.method == .head }

    /// For the audit.
    var source: RequestSource {
        RequestSource(
            requestID: requestID.description, address: address == .unspecified ? nil : address.description)
    }

    /// The answer will say that the path's token has been replaced.
    func say(_ deprecation: Tenant.Deprecation) { self.deprecation.withLock { $0 = deprecation } }

    /// That, as lines of the answer's head: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).
    var deprecationLines: String {
        guard let deprecation = deprecation.withLock(\.self) else { return "" }
        let sunset = DateHeader.text(secondsSince1970: max(0, deprecation.until.microseconds / 1_000_000))
        return "\r\nDeprecation: @\(deprecation.since.microseconds / 1_000_000)\r\nSunset: \(sunset)"
    }

    /// What the connection's client showed before this request, where it is called on the event loop.
    var recentAccess: RecentAccess? {
        get { eventLoop.inEventLoop ? carrier.value.recentAccess : nil }
        set { if eventLoop.inEventLoop { carrier.value.recentAccess = newValue } }
    }

    /// Calls `body` once if the client closes the connection or its sending side before the answer. Until the server
    /// writes, it cannot tell a client that only closed its sending side from one that has left.
    func whenClientLeaves(_ body: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop {
            carrier.value.whenClientLeaves(body)
        } else {
            eventLoop.execute { self.carrier.value.whenClientLeaves(body) }
        }
    }

    /// Runs `body`, and cancels it when the client leaves: for long work that changes nothing.
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
            // Only a client that closed just its sending side can read this.
            throw ChatError.invalid(["The connection must stay open until the answer arrives"])
        }
    }
}

/// The values of a path's parameters (`names`); empty, which no look-up accepts, if the route lacks the parameter.
struct PathParameters: Sendable {
    private let path: String
    /// Where the values are in the path's UTF-8, in the order of the path.
    private var first = 0..<0
    private var second = 0..<0
    private var third = 0..<0
    private var fourth = 0..<0
    private var count = 0

    init(in path: String) { self.path = path }

    var token: Substring { value(first) }
    var chatNumber: Substring { value(second) }
    var keyID: Substring { value(second) }
    var tokenKeyID: Substring { value(second) }
    /// Percent-encoded.
    var user: Substring { value(second) }
    var messageNumber: Substring { value(third) }
    /// The user of a path to a member of a chat.
    var member: Substring { value(third) }
    /// The name of a reaction, percent-encoded.
    var reaction: Substring { value(fourth) }

    /// - Parameter value: where the next one is.
    mutating func append(_ value: Range<Int>) {
        switch count {
        case 0: first = value
        case 1: second = value
        case 2: third = value
        default: fourth = value
        }
        count += 1
    }

    private func value(_ range: Range<Int>) -> Substring {
        let utf8 = path.utf8
        let start = utf8.index(utf8.startIndex, offsetBy: range.lowerBound)
        return path[start..<utf8.index(start, offsetBy: range.count)]
    }

    /// In the order of the path.
    static let names = [
        ["{token}"], ["{chat_number}", "{key_id}", "{kid}", "{user}"], ["{message_number}", "{user}"],
        ["{reaction}"],
    ]
}
