import Foundation
import Logging
import NIOCore

/// Pauses accepting for a second when the system has no file descriptor or memory for another connection.
///
/// NIO (2.101) reports such an error and waits for the same event again. The event is still there, so NIO spins on a
/// whole core. Its `AcceptBackoffHandler` delays the next read, but not the one that failed.
final class AcceptPause: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = any Channel

    private static let pause = TimeAmount.seconds(1)
    /// A failure within this time of the last one belongs to the same incident, which is logged once.
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
        // Both fail only on a closed channel.
        try? options.setOption(.autoRead, value: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            try? options.setOption(.autoRead, value: true)
        }
    }
}
