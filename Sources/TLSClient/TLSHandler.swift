import COpenSSL
import DequeModule
package import NIOCore

/// A TLS client on a channel: OpenSSL between two buffers, one for input and one for output.
///
/// Writes before the end of the handshake wait here. An error is fired once, and closes the channel. A close sends
/// close_notify without waiting for the peer's; the protocol above must detect truncated data.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum State { case agreeing, open, closed }

    private let connection: OpaquePointer
    // The connection owns both.
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private let agreed: EventLoopPromise<Void>?
    private var state = State.agreeing
    private var unsent: Deque<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)> = []
    /// How many of `unsent` are flushed.
    private var flushable = 0

    /// - Parameters:
    ///   - host: a name or an address, which the certificate must contain.
    ///   - agreed: succeeds after the handshake, or fails with it.
    package init(_ context: TLSContext, host: String, agreed: EventLoopPromise<Void>? = nil) {
        self.agreed = agreed
        connection = context.makeConnection()
        guard let incoming = BIO_new(BIO_s_mem()), let outgoing = BIO_new(BIO_s_mem()) else {
            preconditionFailure("Out of memory")
        }
        self.incoming = incoming
        self.outgoing = outgoing
        SSL_set_bio(connection, incoming, outgoing)
        SSL_set_connect_state(connection)
        let parameters = SSL_get0_param(connection)
        if (try? SocketAddress(ipAddress: host, port: 0)) != nil {
            if context.verification == .full { X509_VERIFY_PARAM_set1_ip_asc(parameters, host) }
        } else {
            // Server Name Indication (RFC 6066, 3), which does not allow addresses.
            host.withCString { name in
                _ = SSL_ctrl(
                    connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
                    UnsafeMutableRawPointer(mutating: name))
            }
            if context.verification == .full {
                X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
                X509_VERIFY_PARAM_set1_host(parameters, host, 0)
            }
        }
    }

    deinit { SSL_free(connection) }

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { advance(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { end(with: ChannelError.ioOnClosedChannel) }

    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        advance(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if state == .agreeing { fail(.failed("the server closed the connection"), context) }
        end(with: ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { bytes in
            // A memory buffer accepts all bytes.
            _ = BIO_write(incoming, bytes.baseAddress, Int32(bytes.count))
        }
        advance(context)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // With reads on demand, nothing has been requested yet.
        if state == .agreeing { context.read() }
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state != .closed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        unsent.append((unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        flushable = unsent.count
        if state == .open { send(context) }
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            // TLS has no half-close here.
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        if state == .open {
            SSL_shutdown(connection)
            sendRecords(context, nil)
        }
        end(with: ChannelError.ioOnClosedChannel)
        context.close(mode: mode, promise: promise)
    }

    /// Proceeds as far as the input allows.
    private func advance(_ context: ChannelHandlerContext) {
        if state == .agreeing { agree(context) }
        if state == .open { receive(context) }
    }

    private func agree(_ context: ChannelHandlerContext) {
        ERR_clear_error()
        let result = SSL_do_handshake(connection)
        let error = SSL_get_error(connection, result)
        // Send the handshake's output, or the alert.
        sendRecords(context, nil)
        if result == 1 {
            state = .open
            agreed?.succeed()
            send(context)
        } else if error == SSL_ERROR_WANT_READ {
            context.read()
        } else {
            fail(refusal(), context)
        }
    }

    private func receive(_ context: ChannelHandlerContext) {
        while state == .open {
            var buffer = context.channel.allocator.buffer(capacity: Self.recordLength)
            ERR_clear_error()
            var result: Int32 = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.recordLength) { space in
                result = SSL_read(connection, space.baseAddress, Int32(space.count))
                return max(0, Int(result))
            }
            if result > 0 {
                context.fireChannelRead(wrapInboundOut(buffer))
                continue
            }
            let error = SSL_get_error(connection, result)
            // An answer to a request of TLS itself.
            sendRecords(context, nil)
            switch error {
            case SSL_ERROR_WANT_READ: return
            case SSL_ERROR_ZERO_RETURN: return close(context: context, mode: .all, promise: nil)
            default: return fail(.failed(TLSReason.last), context)
            }
        }
    }

    private func send(_ context: ChannelHandlerContext) {
        while flushable > 0, state == .open {
            let (bytes, promise) = unsent.removeFirst()
            flushable -= 1
            ERR_clear_error()
            let isWritten = bytes.withUnsafeReadableBytes { bytes in
                bytes.isEmpty || SSL_write(connection, bytes.baseAddress, Int32(bytes.count)) == Int32(bytes.count)
            }
            guard isWritten else {
                promise?.fail(ChannelError.ioOnClosedChannel)
                return fail(.failed(TLSReason.last), context)
            }
            sendRecords(context, promise)
        }
        context.flush()
    }

    /// Writes OpenSSL's output to the channel.
    private func sendRecords(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        let count = BIO_ctrl_pending(outgoing)
        guard count > 0 else {
            promise?.succeed()
            return
        }
        var buffer = context.channel.allocator.buffer(capacity: count)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
            max(0, Int(BIO_read(outgoing, space.baseAddress, Int32(count))))
        }
        context.write(wrapOutboundOut(buffer), promise: promise)
        if promise == nil { context.flush() }
    }

    /// Why the handshake failed.
    private func refusal() -> TLSError {
        let result = SSL_get_verify_result(connection)
        let reason = X509_verify_cert_error_string(result).map { String(cString: $0) } ?? TLSReason.last
        switch result {
        case Int(X509_V_OK): return .failed(TLSReason.last)
        case Int(X509_V_ERR_HOSTNAME_MISMATCH), Int(X509_V_ERR_IP_ADDRESS_MISMATCH): return .otherHost(reason)
        default: return .untrusted(reason)
        }
    }

    private func fail(_ error: TLSError, _ context: ChannelHandlerContext) {
        guard state != .closed else { return }
        end(with: error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private func end(with error: any Error) {
        guard state != .closed else { return }
        if state == .agreeing { agreed?.fail(error) }
        state = .closed
        flushable = 0
        let unsent = unsent
        self.unsent = []
        for (_, promise) in unsent { promise?.fail(error) }
    }

    /// The largest record (RFC 8446, 5.1).
    private static let recordLength = 16_384
}
