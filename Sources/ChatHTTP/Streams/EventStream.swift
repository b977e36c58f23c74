import ChatCore
import Hummingbird

/// A subscription as the body of an answer. It ends with the subscription; the next messages are taken when the client
/// has read the last ones, but for what the socket's own buffers hold.
struct EventStream: Sendable {
    private enum Happening {
        case messages([Message])
        case end(StreamEnd)
        case silence
    }

    let subscription: ChatSubscription
    let limits: LiveLimits

    /// - Throws: when the connection is lost, also by the guard that gives up a client that does not read.
    func write(to writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(ServerSentEvents.opening(cursor: subscription.cursor))
        let end = try await writeMessages(to: &writer)
        // Otherwise it was the client who left.
        if end != .cancelled { try await writer.write(ServerSentEvents.close(end)) }
        try await writer.finish(nil)
    }

    private func writeMessages(to writer: inout any ResponseBodyWriter) async throws -> StreamEnd {
        try await withThrowingTaskGroup(of: Happening.self) { group in
            defer { group.cancelAll() }
            var silentSince = ContinuousClock.now
            group.addTask { await nextMessages() }
            group.addTask { [silentSince] in await silence(since: silentSince) }
            while let happening = try await group.next() {
                switch happening {
                case .messages(let messages):
                    for piece in ServerSentEvents.pieces(messages) { try await writer.write(piece) }
                    silentSince = .now
                    group.addTask { await nextMessages() }
                case .silence:
                    if silentSince + limits.comment <= .now {
                        try await writer.write(ServerSentEvents.comment)
                        silentSince = .now
                    }
                    group.addTask { [silentSince] in await silence(since: silentSince) }
                case .end(let end):
                    return end
                }
            }
            return .cancelled
        }
    }

    private func nextMessages() async -> Happening {
        do throws(StreamEnd) {
            return .messages(try await subscription.next())
        } catch {
            return .end(error)
        }
    }

    private func silence(since start: ContinuousClock.Instant) async -> Happening {
        try? await Task.sleep(until: start + limits.comment)  // Cut short when the stream ends.
        return .silence
    }
}
