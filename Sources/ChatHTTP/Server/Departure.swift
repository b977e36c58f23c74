import NIOCore
import ServiceLifecycle
import Synchronization

/// Whether a connection leaves HTTP with the answer to a request. Then no task waits for the next request: the task and
/// what it retains would take more memory than an idle stream or WebSocket.
final class Departure: Sendable {
    enum Kind: Sendable { case upgrade, stream }

    /// Thrown to the task that waits for requests.
    struct HasLeft: Error {}

    /// The current request's connection.
    @TaskLocal static var current: Departure?

    private let isPrepared = Atomic(false)

    func prepare() { isPrepared.store(true, ordering: .relaxed) }

    /// Call it after each answer.
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

/// Counts the connections that have left HTTP, and waits for them at shutdown; Hummingbird's server does not.
final class Departures: Service {
    private let count = Atomic(0)

    func increment() { count.add(1, ordering: .relaxed) }

    func decrement() { count.subtract(1, ordering: .relaxed) }

    func run() async throws {
        try? await gracefulShutdown()  // Throws when cancelled, which is a shutdown as well.
        // The connections know of the shutdown, and each closes after `linger` at the latest.
        let end = ContinuousClock.now.advanced(by: ConnectionState.linger * 2)
        while count.load(ordering: .relaxed) > 0, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))  // Cut short by a cancellation.
        }
    }
}
