import ChatCore
import HTTPTypes
import NIOCore

/// Shares an event loop out among the clients of its connections.
///
/// An event loop answers what has come, connection by connection: one client's many connections make all others wait. So
/// of what comes at once only the first few requests are answered then. The others wait in a `TurnQueue` until all
/// connections have been read, and between two slices of time the loop reads again. Where little waits, nothing of that
/// costs anything. A frame of a WebSocket takes its turn as a request does.
final class LoopTurns {
    typealias Owner = TurnQueue<Waiting>.Owner

    enum Waiting {
        case request(Call, any RequestCarrier)
        /// The next frame of this one.
        case frame(WebSocketHandler)
    }

    /// Requests of one turn of the event loop that do not wait.
    private static let free = 4
    /// After this time the loop reads from its connections again.
    private static let slice = TimeAmount.milliseconds(1)
    /// A task of now would run before the loop reads.
    private static let pause = TimeAmount.microseconds(20)

    private let eventLoop: any EventLoop
    private var queue = TurnQueue<Waiting>()
    /// Requests of this turn of the event loop.
    private var begun = 0
    /// Whether `serve` runs, or will.
    private var isScheduled = false
    private var pace = RefusalPace()

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// - Returns: whether the request is answered now. If not, `RequestCarrier.hasTurn` is called later.
    func isNow(_ call: Call, of carrier: any RequestCarrier) -> Bool {
        if isFree() { return true }
        // Health checks say how the server is, and not how busy.
        if HealthController.answers(call.request) { return true }
        wait(.request(call, carrier), of: Self.owner(of: call))
        return false
    }

    /// - Returns: whether the next frame is received now. If not, `WebSocketHandler.takeTurn` is called later.
    func isNow(frameOf handler: WebSocketHandler, of owner: Owner) -> Bool {
        if isFree() { return true }
        wait(.frame(handler), of: owner)
        return false
    }

    private func isFree() -> Bool {
        guard queue.isEmpty, begun < Self.free else { return false }
        if begun == 0 { run { $0.begun = 0 } }
        begun += 1
        return true
    }

    private func wait(_ waiting: Waiting, of owner: Owner) {
        queue.add(waiting, of: owner)
        guard !isScheduled else { return }
        isScheduled = true
        run { $0.serve() }
    }

    private func serve() {
        let end = NIODeadline.now() + Self.slice
        repeat {
            switch queue.next() {
            case .request(let call, let carrier): carrier.hasTurn(call)
            case .frame(let handler): handler.takeTurn()
            case nil:
                isScheduled = false
                return
            }
        } while NIODeadline.now() < end
        // What has come meanwhile waits for that, too.
        let turns = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: Self.pause) { turns.value.serve() }
    }

    /// After this turn of the event loop's connections.
    private func run(_ body: @escaping (LoopTurns) -> Void) {
        eventLoop.assumeIsolatedUnsafeUnchecked().execute { body(self) }
    }

    /// How long an answer waits.
    func wait(of result: Result<Response, any Error>, to call: Call) -> Duration {
        guard case .failure(let error) = result, let error = error as? ChatError else { return .zero }
        switch error {
        case .quotaExceeded, .overloaded: break
        default: return .zero
        }
        let owner = Self.owner(of: call)
        let now = Duration.nanoseconds(Int64(clamping: eventLoop.now.uptimeNanoseconds))
        return pace.wait(of: [owner.address, owner.application], now: now)
    }

    private static func owner(of call: Call) -> Owner {
        owner(call.client, call.parameters.token) { hasher in
            call.request.headers.withOnlyValue(of: .authorization) { hasher.combine(bytes: $0) }
        }
    }

    /// Whose the frames of a connection are.
    static func owner(of access: Access, from client: IPAddress) -> Owner {
        owner(client, access.name.text[...]) { $0.combine(access.principal) }
    }

    private static func owner(
        _ client: IPAddress, _ application: Substring, credentials: (inout Hasher) -> Void
    ) -> Owner {
        func hash(_ kind: Int, _ body: (inout Hasher) -> Void) -> Int {
            var hasher = Hasher()
            hasher.combine(kind)
            body(&hasher)
            return hasher.finalize()
        }
        return Owner(
            address: hash(0) { $0.combine(client) },
            application: hash(1) { hasher in
                var name = application
                name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
            },
            credentials: hash(2, credentials))
    }
}

@available(*, unavailable)
extension LoopTurns: Sendable {}
