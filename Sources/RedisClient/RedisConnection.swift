import NIOCore
import Synchronization

/// One connection, shared by any number of tasks. Their commands are pipelined: commands that arrive while the event
/// loop is busy are sent in one write, and the replies come back in order.
///
/// `RedisConnectionState` decides, this type acts, and `RedisHandler` delivers the replies.
package final class RedisConnection: Sendable {
    typealias State = RedisConnectionState<Waiter>

    enum Waiter: Sendable {
        case one(CheckedContinuation<RedisReply, Never>)
        case batch(CheckedContinuation<[RedisReply], Never>)
        /// Called with the replies; no task waits.
        case nobody(@Sendable (_ replies: [RedisReply]) -> Void)
    }

    private let channel: any Channel
    private let state: Mutex<State>
    /// Fulfilled when it is unusable; the socket itself may close later.
    private let closed: EventLoopPromise<Void>

    init(channel: any Channel, limits: State.Limits) {
        self.channel = channel
        self.closed = channel.eventLoop.makePromise()
        self.state = Mutex(State(limits: limits))
    }

    /// Whether commands are accepted.
    var isOpen: Bool { closingReason == nil }

    /// Commands that are queued or written.
    var inFlight: Int { state.withLock(\.inFlight) }

    /// Why no commands are accepted; nil while they are.
    var closingReason: String? { state.withLock(\.closingReason) }

    /// Sends one command and waits for its reply. Cancelling the task closes the connection.
    ///
    /// - Parameter timeout: how long the reply may take; for a blocking command, more than it blocks. Past it the
    ///   connection is closed.
    package func send(_ command: RedisCommand, timeout: Duration) async throws(RedisError) -> RedisValue {
        let deadline = NIODeadline.now() + TimeAmount(timeout)
        let reply = await withTaskCancellationHandler {
            await send(command, by: deadline)
        } onCancel: {
            close(reason: "the task that waits was cancelled")
        }
        return try reply.get()
    }

    func send(_ command: RedisCommand, by deadline: NIODeadline) async -> RedisReply {
        await withCheckedContinuation { submit(CollectionOfOne(command), by: deadline, .one($0)) }
    }

    func send(_ commands: [RedisCommand], by deadline: NIODeadline) async -> [RedisReply] {
        if commands.isEmpty { return [] }
        return await withCheckedContinuation { submit(commands, by: deadline, .batch($0)) }
    }

    /// Accepts commands, or fails the waiter at once.
    func submit(_ commands: some Collection<RedisCommand>, by deadline: NIODeadline, _ waiter: Waiter) {
        do throws(RedisError) {
            let size = commands.reduce(0) { $0 + $1.encodedSize }
            guard size <= state.withLock(\.limits.bytes) else {
                throw .unavailable(reason: "the commands are too large to send")
            }
            var bytes = channel.allocator.buffer(capacity: size)
            for command in commands { command.encode(into: &bytes) }
            let request = State.Request(waiter: waiter, count: commands.count, deadline: deadline, bytes: bytes)
            let mustWrite = try state.withLock { state throws(RedisError) in try state.enqueue(request) }
            if mustWrite { channel.eventLoop.execute { self.write() } }
        } catch {
            waiter.resume(with: Array(repeating: .failure(error), count: commands.count))
        }
    }

    /// Accepts no commands from now on, and closes when the last reply has arrived or is late.
    func drain(reason: String) {
        let isDrained = state.withLock { state in
            state.drain(reason: reason)
            return state.isDrained
        }
        if isDrained { close(reason: reason) }
    }

    /// Closes now, and fails all waiters.
    ///
    /// - Parameter next: the error of the command whose reply was being read.
    func close(reason: String, next: RedisError? = nil) {
        for outcome in state.withLock({ $0.close(reason: reason, next: next) }) { outcome.deliver() }
        closed.succeed()
        channel.close(promise: nil)
    }

    /// Returns when it is closed. Cancelling the task drains it.
    func untilClosed() async {
        await withTaskCancellationHandler {
            try? await closed.futureResult.get()  // It never fails.
        } onCancel: {
            drain(reason: "the client is shutting down")
        }
    }

    /// Calls `body` on the event loop at every interval until the connection is closed.
    func every(_ interval: Duration, _ body: @escaping @Sendable (RedisConnection) -> Void) {
        let interval = TimeAmount(interval)
        let task = channel.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in body(self) }
        closed.futureResult.whenComplete { _ in task.cancel() }
    }

    /// Takes replies, on the event loop.
    func receive(_ replies: [RedisReply]) {
        let (finished, unasked, isDrained) = state.withLock { state in
            let (finished, unasked) = state.receive(replies)
            return (finished, unasked, state.isDrained)
        }
        for outcome in finished { outcome.deliver() }
        switch unasked {
        case .failure(let error): close(reason: error.text)
        case .success: close(reason: "it sent what nobody had asked for")
        case nil where isDrained: close(reason: "drained")
        case nil: scheduleSweep()
        }
    }

    /// Writes all queued requests, on the event loop.
    private func write() {
        var buffers = state.withLock { $0.write() }[...]
        guard var gathered = buffers.popFirst() else { return }
        for var buffer in buffers {
            // Copying a few KB is cheaper than a separate buffer and TLS record.
            if buffer.readableBytes <= 16_384 {
                gathered.writeBuffer(&buffer)
            } else {
                channel.write(gathered, promise: nil)
                gathered = buffer
            }
        }
        channel.writeAndFlush(gathered, promise: nil)
        scheduleSweep()
    }

    private func scheduleSweep() {
        if let deadline = state.withLock({ $0.scheduleSweep() }) { sweep(at: deadline) }
    }

    private func sweep(at deadline: NIODeadline) {
        channel.eventLoop.scheduleTask(deadline: deadline) {
            switch self.state.withLock({ $0.sweep(now: .now()) }) {
            case .late: self.close(reason: "no reply in time")
            case .again(let deadline): self.sweep(at: deadline)
            case .idle: break
            }
        }
    }
}

extension RedisConnectionState.Outcome where Waiter == RedisConnection.Waiter {
    func deliver() { waiter.resume(with: replies) }
}

extension RedisConnection.Waiter {
    func resume(with replies: [RedisReply]) {
        switch self {
        case .one(let continuation): continuation.resume(returning: replies[0])
        case .batch(let continuation): continuation.resume(returning: replies)
        case .nobody(let body): body(replies)
        }
    }
}

extension RedisError {
    /// Only the reason, or the server's text.
    var text: String {
        switch self {
        case .unavailable(let reason), .unusable(let reason), .outcomeUnknown(let reason), .server(let reason): reason
        case .tooLarge: "a reply is too large"
        }
    }
}
