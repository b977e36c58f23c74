import ChatCore
import HTTPTypes
import NIOCore

/// Shares an event loop out among the clients of its connections.
///
/// An event loop answers what has come, connection by connection: one client's many connections make all others wait. So
/// of what comes at once only the first few requests are answered then. The others wait in a `TurnQueue` until all
/// connections have been read, and between two slices of time the loop reads again. Where little waits, nothing of that
/// costs anything.
final class LoopTurns {
    typealias Owner = TurnQueue<Waiting>.Owner

    struct Waiting {
        let call: Call
        let carrier: any RequestCarrier
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
    private var isScheduled = false
    private var pace = RefusalPace()

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// - Returns: whether the request is answered now. If not, `RequestCarrier.hasTurn` is called later.
    func isNow(_ call: Call, of carrier: any RequestCarrier) -> Bool {
        if queue.isEmpty, begun < Self.free {
            if begun == 0 { run { $0.begun = 0 } }
            begun += 1
            return true
        }
        // Health checks say how the server is, and not how busy.
        if HealthController.answers(call.request) { return true }
        queue.add(Waiting(call: call, carrier: carrier), of: Self.owner(of: call))
        if !isScheduled {
            isScheduled = true
            run { $0.serve() }
        }
        return false
    }

    private func serve() {
        isScheduled = false
        let end = NIODeadline.now() + Self.slice
        repeat {
            guard let waiting = queue.next() else { return }
            waiting.carrier.hasTurn(waiting.call)
        } while NIODeadline.now() < end
        guard !queue.isEmpty, !isScheduled else { return }
        isScheduled = true
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
        func hash(_ kind: Int, _ body: (inout Hasher) -> Void) -> Int {
            var hasher = Hasher()
            hasher.combine(kind)
            body(&hasher)
            return hasher.finalize()
        }
        return Owner(
            address: hash(0) { $0.combine(call.client) },
            application: hash(1) { hasher in
                var name = call.parameters.token
                name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
            },
            credentials: hash(2) { hasher in
                call.request.headers.withOnlyValue(of: .authorization) { hasher.combine(bytes: $0) }
            })
    }
}

@available(*, unavailable)
extension LoopTurns: Sendable {}
