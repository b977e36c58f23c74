package import NIOCore
package import NIOHTTP1
import NIOPosix
import Synchronization
package import TLS

/// A connection to a server, for one request at a time. It reads only on demand
/// (docs/decisions/0023-first-build.md).
package final class HTTPConnection: Sendable {
    /// The server was silent for too long.
    package struct Silence: Error { package init() {} }
    /// No connection was made in time.
    package struct NoAnswer: Error {}

    /// The head of an answer, and its body as it arrives.
    package struct Response: Sendable {
        package let head: HTTPResponseHead
        fileprivate let connection: HTTPConnection

        /// - Returns: at least one byte of the body; nil at its end.
        package func next(within silence: Duration) async throws -> ByteBuffer? {
            while true {
                switch try await connection.part(within: silence) {
                case .head: throw HTTPParserError.unknown
                case .body(let bytes) where bytes.readableBytes > 0: return bytes
                case .body: continue
                case .end:
                    if !head.isKeepAlive { connection.close() }
                    connection.isAnswering.store(false, ordering: .relaxed)
                    return nil
                }
            }
        }
    }

    private let channel: any Channel
    private let inbox: NIOLoopBound<Inbox>
    /// Whether the last answer has not been read to its end.
    private let isAnswering = Atomic(false)

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = NIOLoopBound(inbox, eventLoop: channel.eventLoop)
    }

    /// - Parameters:
    ///   - tls: nil for plain TCP.
    ///   - patience: the time limit to connect, and again for the TLS handshake.
    package static func connect(
        to host: String, port: Int, tls: TLSContext?, patience: Duration
    ) async throws -> HTTPConnection {
        let (connection, agreed) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(TimeAmount(patience))
            .channelOption(.autoRead, value: false)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let agreed = channel.eventLoop.makePromise(of: Void.self)
                    let pipeline = channel.pipeline.syncOperations
                    if let tls {
                        try pipeline.addHandler(TLSHandler(tls, host: host, agreed: agreed))
                    } else {
                        agreed.succeed()
                    }
                    try pipeline.addHTTPClientHandlers()
                    let inbox = Inbox(channel.eventLoop)
                    try pipeline.addHandler(inbox)
                    return (HTTPConnection(channel: channel, inbox: inbox), agreed)
                }
            }
        let deadline = connection.channel.eventLoop.scheduleTask(in: TimeAmount(patience)) {
            agreed.fail(NoAnswer())
        }
        defer { deadline.cancel() }
        do {
            try await agreed.futureResult.get()
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    /// Whether another request may be sent: the answer to the last one was read to its end.
    package var isFree: Bool { channel.isActive && !isAnswering.load(ordering: .relaxed) }

    package func close() { channel.close(promise: nil) }

    /// Sends a request and waits for the head of the answer.
    package func send(_ head: HTTPRequestHead, body: ByteBuffer?, within silence: Duration) async throws -> Response {
        isAnswering.store(true, ordering: .relaxed)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil) }
        // A failure shows in the answer.
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        guard case .head(let head) = try await part(within: silence) else { throw HTTPParserError.unknown }
        return Response(head: head, connection: self)
    }

    private func part(within silence: Duration) async throws -> HTTPClientResponsePart {
        do {
            return try await channel.eventLoop.flatSubmit { [inbox] in inbox.value.next(within: TimeAmount(silence)) }
                .get()
        } catch {
            close()
            throw error
        }
    }
}

/// Keeps the result of one read of the socket until it is requested.
private final class Inbox: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private var parts: [HTTPClientResponsePart] = []
    private var waiter: EventLoopPromise<HTTPClientResponsePart>?
    private var failure: (any Error)?
    private var context: ChannelHandlerContext?
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    func next(within silence: TimeAmount) -> EventLoopFuture<HTTPClientResponsePart> {
        let promise = eventLoop.makePromise(of: HTTPClientResponsePart.self)
        if !parts.isEmpty {
            promise.succeed(parts.removeFirst())
        } else if let failure {
            promise.fail(failure)
        } else {
            waiter = promise
            let deadline = eventLoop.assumeIsolated().scheduleTask(in: silence) {
                self.fail(HTTPConnection.Silence())
            }
            promise.futureResult.assumeIsolated().whenComplete { _ in deadline.cancel() }
            // The channel of an inbox without a context has failed.
            context?.read()
        }
        return promise.futureResult
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        fail(ChannelError.eof)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { parts.append(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        if let waiter, !parts.isEmpty {
            self.waiter = nil
            waiter.succeed(parts.removeFirst())
        }
        // The bytes may have been an incomplete part, or only TLS' own.
        if waiter != nil { context.read() }
    }

    func channelInactive(context: ChannelHandlerContext) { end(ChannelError.eof) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(error)
        context.close(promise: nil)
    }

    /// Parts that have arrived are still returned.
    private func end(_ error: any Error) {
        if let waiter, !parts.isEmpty {
            self.waiter = nil
            waiter.succeed(parts.removeFirst())
        }
        fail(error)
    }

    private func fail(_ error: any Error) {
        if failure == nil { failure = error }
        waiter?.fail(error)
        waiter = nil
    }
}
