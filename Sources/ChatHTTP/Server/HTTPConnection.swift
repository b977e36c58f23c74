import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// A connection's pipeline: Hummingbird's `HTTP1Channel` with two differences. It has a guard, and when the connection
/// leaves HTTP, its decoder passes its unread bytes on.
struct HTTPConnection: HTTPChannelHandler {
    var responder: Responder
    let limits: ConnectionLimits
    let metrics: RequestMetrics
    let slots: ConnectionSlots
    let budget: ByteBudget
    let departures: Departures
    let hasCORS: Bool

    /// In bytes.
    private static let largestRead = 16 << 10

    func setup(
        channel: any Channel, logger: Logger
    ) -> EventLoopFuture<NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>> {
        channel.eventLoop.makeCompletedFuture {
            var decoderLimits = NIOHTTPDecoderLimitConfiguration()
            decoderLimits.maxHeaderFieldSize = 80 << 10
            decoderLimits.maxHeaderListSize = 80 << 10
            decoderLimits.maxHeaderFieldCount = 1000
            // Small reads: many parsed heads take much more memory than their bytes.
            let buffers = AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: Self.largestRead)
            // Channels other than sockets lack these options.
            try? channel.syncOptions?.setOption(.maxMessagesPerRead, value: 1)
            try? channel.syncOptions?.setOption(.recvAllocator, value: buffers)
            let pipeline = channel.pipeline.syncOperations
            let connection = ConnectionGuard(
                limits: limits, metrics: metrics, slots: slots, budget: budget, departures: departures,
                hasCORS: hasCORS)
            try pipeline.addHandlers([
                UnparsedBytesLimit(guard: connection), HTTPResponseEncoder(),
                ByteToMessageHandler(
                    HTTPRequestDecoder(
                        leftOverBytesStrategy: .forwardBytes, informationalResponseStrategy: .drop,
                        limitConfiguration: decoderLimits)),
                HeadWatch(guard: connection), HTTP1ToHTTPServerCodec(secure: false), connection,
                HTTPConnectionStateHandler(logger: logger),
            ])
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value channel: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>, logger: Logger) async {
        let departure = Departure()
        var connection = self
        connection.responder = { [responder] request, writer, channel in
            try await responder(request, writer, channel)
            try await departure.check(channel)
        }
        await Departure.$current.withValue(departure) {
            await connection.handleHTTP(asyncChannel: channel, logger: logger)
        }
    }
}
