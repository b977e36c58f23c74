import COpenSSL

/// What clients and servers have in common.
enum TLSDefaults {
    /// An `SSL_CTX` for TLS 1.2 and 1.3.
    static func makeContext(_ method: OpaquePointer?) -> OpaquePointer {
        guard let context = SSL_CTX_new(method) else { preconditionFailure("OpenSSL has no TLS") }
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS), nil)
        SSL_CTX_set_options(context, noRenegotiation | noCompression)
        return context
    }

    /// SSL_OP_NO_RENEGOTIATION, a macro with arguments: with it a write never waits for a read.
    private static let noRenegotiation: UInt64 = 1 << 30
    /// SSL_OP_NO_COMPRESSION: the length of compressed data tells about secrets in it (CRIME).
    private static let noCompression: UInt64 = 1 << 17
}
