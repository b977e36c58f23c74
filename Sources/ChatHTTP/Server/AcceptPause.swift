import Foundation
import Logging
import NIOCore

/// Stops accepting for a second when the system has no file or no memory for another connection.
///
/// NIO tells of such an error and goes on waiting for the same event, which is still there: it spins on a whole core (2.101;
/// its `AcceptBackoffHandler` delays the next read, but not the one that failed).
final class AcceptPause: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = any Channel

    private static let pause = TimeAmount.seconds(1)
    /// Of one trouble there is one log line, as long as it lasts.
    private static let calm = TimeAmount.seconds(60)

    private let logger: Logger
    private var lastPause: NIODeadline?

    init(logger: Logger) { self.logger = logger }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        defer { context.fireErrorCaught(error) }
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode),
            context.channel.isActive, let options = context.channel.syncOptions
        else { return }
        if lastPause.map({ .now() - $0 > Self.calm }) ?? true {
            logger.error(
                "Accepting paused", metadata: ["error": .string(String(cString: strerror(error.errnoCode)))])
        }
        lastPause = .now()
        // Both fail only on a channel that is closed.
        try? options.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            try? options.setOption(.autoRead, value: true)
        }
    }
}
