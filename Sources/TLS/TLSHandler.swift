import DequeModule
package import NIOCore

/// TLS on a channel, for a client or a server.
///
/// Writes before the end of the handshake wait here; later ones are encrypted at once and passed on, so that the
/// channel's writability counts them. A close sends close_notify without waiting for the peer's; the protocol above
/// must detect truncated data.
///
/// An error is fired once. A client's channel closes then. A server's stays open, so that the protocol above can give
/// its client the time to read why: the alert, or an answer in plain text to what is not TLS.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Fired by a server's end after the handshake, if the client offered protocols: the one that both speak.
    package enum ApplicationProtocol: String, Sendable {
        case http1 = "http/1.1"
        case http2 = "h2"
    }

    private enum State {
        case agreeing
        case open
        /// A server's client does not speak TLS: writes pass unencrypted, and input is dropped.
        case plain
        case ended
    }

    /// The limit of a client's bytes in a handshake. OpenSSL keeps messages until they are complete.
    private static let longestHandshake = 32 << 10
    /// How often a peer may cause answers of TLS itself (to key updates, say) without reading them. Each is shorter than
    /// one read of the socket.
    private static let mostUnreadReplies = 8

    private let engine: TLSEngine
    private let isServer: Bool
    private let agreed: EventLoopPromise<Void>?
    private var state = State.agreeing
    private var handshakeBytes = 0
    private var helloLimit = ClientHelloLimit()
    private var unreadReplies = 0
    /// What was written before the end of the handshake.
    private var unsent: Deque<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)> = []
    private var isInputClosed = false
    private var isOutputClosed = false

    /// A client's end.
    ///
    /// - Parameters:
    ///   - host: a name or an address, which the certificate must contain.
    ///   - agreed: succeeds after the handshake, or fails with it.
    package init(_ context: TLSContext, host: String, agreed: EventLoopPromise<Void>? = nil) {
        engine = TLSEngine(context, host: host)
        isServer = false
        self.agreed = agreed
    }

    /// A server's end. It fires `TLSError.notTLS` if the client seems to speak HTTP.
    package init(_ context: TLSServerContext) {
        engine = TLSEngine(context)
        isServer = true
        agreed = nil
    }

    // MARK: The channel

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { end(with: ChannelError.ioOnClosedChannel) }

    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        start(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        // Some clients of a server only look whether the port is open.
        if state == .agreeing, !isServer { fail(.failed("the server closed the connection"), context) }
        end(with: ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch state {
        case .agreeing where isServer:
            if handshakeBytes == 0, Self.isText(bytes) {
                state = .plain
                return context.fireErrorCaught(TLSError.notTLS)
            }
            guard handshakeBytes < Self.longestHandshake, helloLimit.admits(bytes) else {
                return fail(.failed("the handshake is too long"), context)
            }
            handshakeBytes += bytes.readableBytes
        case .agreeing, .open: break
        case .plain, .ended: return
        }
        // Nothing follows a close_notify.
        if isInputClosed { return }
        engine.receive(bytes)
        advance(context)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // With reads on demand, nothing has been requested yet.
        if state == .agreeing { context.read() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // After a close_notify it was fired already.
        if let event = event as? ChannelEvent, event == .inputClosed {
            closeInput(context)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { unreadReplies = 0 }
        context.fireChannelWritabilityChanged()
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch state {
        case .agreeing: unsent.append((unwrapOutboundIn(data), promise))
        case .open where !isOutputClosed: encrypt(unwrapOutboundIn(data), promise, context)
        case .plain: context.write(data, promise: promise)
        case .open, .ended: promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        // What waits is flushed after the handshake.
        if state != .agreeing { context.flush() }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, state == .open, !isOutputClosed {
            isOutputClosed = true
            engine.shutDown()
            if let records = engine.takeRecords() {
                context.writeAndFlush(wrapOutboundOut(records), promise: nil)
            }
        }
        if mode == .all { end(with: ChannelError.ioOnClosedChannel) }
        context.close(mode: mode, promise: promise)
    }

    // MARK: TLS

    /// The client speaks first. Until then a server's end takes little memory.
    private func start(_ context: ChannelHandlerContext) { if !isServer { advance(context) } }

    /// Proceeds as far as the input allows.
    private func advance(_ context: ChannelHandlerContext) {
        if state == .agreeing { agree(context) }
        if state == .open { receive(context) }
    }

    private func agree(_ context: ChannelHandlerContext) {
        let progress = engine.shakeHands()
        // The handshake's output, or the alert.
        if let records = engine.takeRecords() {
            helloLimit.answers(records)
            context.writeAndFlush(wrapOutboundOut(records), promise: nil)
        }
        switch progress {
        case .done:
            state = .open
            agreed?.succeed()
            if isServer, let name = engine.applicationProtocol.flatMap(ApplicationProtocol.init) {
                context.fireUserInboundEventTriggered(name)
            }
            while state == .open, let (bytes, promise) = unsent.popFirst() { encrypt(bytes, promise, context) }
            context.flush()
        case .waits: context.read()
        case .failed(let error): fail(error, context)
        }
    }

    private func receive(_ context: ChannelHandlerContext) {
        while state == .open, !isInputClosed {
            let reading = engine.read(context.channel.allocator)
            reply(context)
            guard state == .open else { return }
            switch reading {
            case .bytes(let data): context.fireChannelRead(wrapInboundOut(data))
            case .wait: return
            case .end where isServer: closeInput(context)
            case .end: close(context: context, mode: .all, promise: nil)
            case .failed(let error): fail(error, context)
            }
        }
    }

    private func closeInput(_ context: ChannelHandlerContext) {
        guard !isInputClosed else { return }
        isInputClosed = true
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    private func encrypt(_ data: ByteBuffer, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext) {
        guard engine.write(data) else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return fail(.failed(TLSReason.last), context)
        }
        context.write(wrapOutboundOut(engine.takeRecords() ?? ByteBuffer()), promise: promise)
    }

    /// Sends TLS' own answer to what was read, if there is one, and ends with a peer that causes many and reads none.
    private func reply(_ context: ChannelHandlerContext) {
        guard let records = engine.takeRecords() else { return }
        if !context.channel.isWritable { unreadReplies += 1 }
        guard unreadReplies <= Self.mostUnreadReplies else {
            return fail(.failed("the peer reads no answers"), context)
        }
        context.writeAndFlush(wrapOutboundOut(records), promise: nil)
    }

    private func fail(_ error: TLSError, _ context: ChannelHandlerContext) {
        guard state != .ended else { return }
        end(with: error)
        context.fireErrorCaught(error)
        if !isServer { context.close(promise: nil) }
    }

    private func end(with error: any Error) {
        guard state != .ended else { return }
        if state == .agreeing { agreed?.fail(error) }
        state = .ended
        let unsent = unsent
        self.unsent = []
        for (_, promise) in unsent { promise?.fail(error) }
    }

    /// Whether this looks like a request's first line. TLS begins with byte 22.
    private static func isText(_ bytes: ByteBuffer) -> Bool {
        guard let first = bytes.readableBytesView.first else { return false }
        return (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first)
    }
}

@available(*, unavailable)
extension TLSHandler: Sendable {}
