import COpenSSL
import NIOCore

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One end of a TLS connection without a socket: OpenSSL between the bytes that were received and those to send.
///
/// OpenSSL reads and writes our buffers in place (`BIO`), so that an idle connection keeps none.
final class TLSEngine {
    enum Progress {
        case done
        case waits
        case failed(TLSError)
    }

    enum Reading {
        case bytes(ByteBuffer)
        /// More input is needed.
        case wait
        /// The peer sends no more (close_notify).
        case end
        case failed(TLSError)
    }

    private let connection: OpaquePointer
    private var received = ByteBuffer()
    private var records = ByteBuffer()
    /// Bytes that OpenSSL has taken since it last returned data, in bytes.
    private var taken = 0

    /// A client's end.
    ///
    /// - Parameter host: a name or an address, which the certificate must contain.
    convenience init(_ context: TLSContext, host: String) {
        self.init(context.makeConnection())
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

    /// A server's end.
    convenience init(_ context: TLSServerContext) {
        self.init(context.makeConnection())
        SSL_set_accept_state(connection)
    }

    /// Takes ownership of the connection.
    private init(_ connection: OpaquePointer) {
        self.connection = connection
        guard let bio = BIO_new(Self.buffers) else { preconditionFailure("Out of memory") }
        // The connection owns it, and ends with this engine.
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_bio(connection, bio, bio)
    }

    deinit { SSL_free(connection) }

    /// Adds received bytes.
    func receive(_ bytes: ByteBuffer) {
        if received.readableBytes == 0 { received = bytes } else { received.writeImmutableBuffer(bytes) }
    }

    /// Takes the bytes to send; nil if there are none.
    func takeRecords() -> ByteBuffer? {
        guard records.readableBytes > 0 else { return nil }
        defer { records = ByteBuffer() }
        return records
    }

    func shakeHands() -> Progress {
        ERR_clear_error()
        let result = SSL_do_handshake(connection)
        if result == 1 {
            taken = 0
            return .done
        }
        return SSL_get_error(connection, result) == SSL_ERROR_WANT_READ ? .waits : .failed(refusal())
    }

    /// The protocol above TLS that both ends agreed on in the handshake (ALPN, RFC 7301); nil if there was no such offer.
    var applicationProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(connection, &name, &length)
        return name.map { String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self) }
    }

    /// Reads data of at most one record.
    func read(_ allocator: ByteBufferAllocator) -> Reading {
        // Data is shorter than its record.
        let room = min(Self.recordLength, taken + received.readableBytes)
        guard room > 0 else { return .wait }
        var data = allocator.buffer(capacity: room)
        var result: Int32 = 0
        ERR_clear_error()
        data.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { space in
            result = SSL_read(connection, space.baseAddress, Int32(space.count))
            return max(0, Int(result))
        }
        if result > 0 {
            taken = Int(SSL_pending(connection))
            return .bytes(data)
        }
        return switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ: .wait
        case SSL_ERROR_ZERO_RETURN: .end
        default: .failed(.failed(TLSReason.last))
        }
    }

    /// Encrypts data after the handshake.
    ///
    /// - Returns: false if the connection has failed.
    func write(_ data: ByteBuffer) -> Bool {
        let count = data.readableBytes
        guard count > 0 else { return true }
        records.reserveCapacity(minimumWritableBytes: count + Self.overhead * (1 + count / Self.recordLength))
        ERR_clear_error()
        return data.withUnsafeReadableBytes { bytes in
            SSL_write(connection, bytes.baseAddress, Int32(count)) == Int32(count)
        }
    }

    /// Writes close_notify.
    func shutDown() {
        ERR_clear_error()
        SSL_shutdown(connection)
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

    /// The largest record's data (RFC 8446, 5.1), in bytes.
    private static let recordLength = 16_384
    /// What a record adds to its data at most, in bytes.
    private static let overhead = 64

    /// BIO_FLAGS_RWS, a macro of macros, and the flag of a call that may be repeated.
    private static let retry =
        BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

    // MARK: OpenSSL's input and output

    /// Never freed, and not changed after this.
    nonisolated(unsafe) private static let buffers: OpaquePointer = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "buffers") else {
            preconditionFailure("Out of memory")
        }
        BIO_meth_set_create(method) { bio in
            BIO_set_init(bio, 1)
            return 1
        }
        BIO_meth_set_read(method) { bio, space, count in
            BIO_clear_flags(bio, retry)
            guard let space, count > 0 else { return 0 }
            let taken = TLSEngine.of(bio).take(UnsafeMutableRawBufferPointer(start: space, count: Int(count)))
            if taken > 0 { return Int32(taken) }
            BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            return -1
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            BIO_clear_flags(bio, retry)
            guard let bytes, count > 0 else { return 0 }
            TLSEngine.of(bio).records.writeBytes(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func of(_ bio: OpaquePointer?) -> TLSEngine {
        guard let engine = BIO_get_data(bio) else { preconditionFailure("A BIO without its engine") }
        return Unmanaged<TLSEngine>.fromOpaque(engine).takeUnretainedValue()
    }

    private func take(_ space: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(space.count, received.readableBytes)
        received.readWithUnsafeReadableBytes { bytes in
            space.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(count)))
            return count
        }
        if received.readableBytes == 0 { received = ByteBuffer() }
        taken += count
        return count
    }
}

@available(*, unavailable)
extension TLSEngine: Sendable {}
