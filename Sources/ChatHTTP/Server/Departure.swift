import NIOCore
import ServiceLifecycle
import Synchronization

/// Whether a connection answers a request by leaving HTTP. Then no task waits for the next request: that task, with all it
/// keeps, would take more memory than an idle stream or WebSocket.
final class Departure: Sendable {
    enum Kind: Sendable { case upgrade, stream }

    /// Thrown to the task that waits for requests.
    struct HasLeft: Error {}

    /// Of the connection whose request is being answered.
    @TaskLocal static var current: Departure?

    private let isPrepared = Atomic(false)

    func prepare() { isPrepared.store(true, ordering: .relaxed) }

    /// To be called when a request has been answered.
    ///
    /// - Throws: `HasLeft`.
    func check(_ channel: any Channel) async throws {
        guard isPrepared.load(ordering: .relaxed) else { return }
        let hasLeft = channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: ConnectionGuard.self).hasLeft
        }
        if try await hasLeft.get() { throw HasLeft() }
    }
}

/// The connections that have left HTTP. The server does not wait for them when it shuts down; this does.
final class Departures: Service {
    private let count = Atomic(0)

    func increment() { count.add(1, ordering: .relaxed) }

    func decrement() { count.subtract(1, ordering: .relaxed) }

    func run() async throws {
        try? await gracefulShutdown()  // Fails when it is cancelled, which is a shutdown as well.
        // They have been told, and each closes by itself after `linger` at the latest.
        let end = ContinuousClock.now.advanced(by: ConnectionState.linger * 2)
        while count.load(ordering: .relaxed) > 0, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))  // Cut short by a cancellation.
        }
    }
}
