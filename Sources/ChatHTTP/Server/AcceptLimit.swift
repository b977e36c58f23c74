import Foundation
import Logging
import NIOCore

/// Stops accepting at the limit of open connections. Pauses accepting for a second when the system has no file
/// descriptor or memory for another connection.
///
/// NIO (2.101) reports such an error and waits for the same event again. The event is still there, so NIO spins on a
/// whole core. Its `AcceptBackoffHandler` delays the next read, but not the one that failed.
final class AcceptLimit: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = any Channel

    private static let pause = TimeAmount.seconds(1)
    /// A failure within this time of the last one belongs to the same incident, which is logged once.
    private static let calm = TimeAmount.seconds(60)

    private let bound: Int
    private var open = 0
    private let logger: Logger
    private var lastPause: NIODeadline?
    private var isReadHeld = false

    /// - Parameter bound: the limit of open connections.
    init(_ bound: Int, logger: Logger) {
        self.bound = bound
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        open += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        unwrapInboundIn(data).closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            let (handler, context) = bound.value
            handler.open -= 1
            if handler.isReadHeld { handler.read(context: context) }
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        isReadHeld = open >= bound
        if !isReadHeld { context.read() }
    }

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
