import COpenSSL

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A server's certificate with its key, for any number of connections with TLS 1.2 or 1.3.
///
/// Sessions are resumed by tickets alone: a cache of sessions would take memory for clients that never come back. The
/// tickets' keys are this context's own.
package final class TLSServerContext: @unchecked Sendable {
    /// When the first certificate of the chain expires, in seconds since 1970.
    package let expiry: Int
    /// From when on all of them are valid, in seconds since 1970.
    package let start: Int
    // SSL_CTX counts its references atomically, and is not changed after init.
    private let context: OpaquePointer

    /// Reads the files.
    ///
    /// - Parameters:
    ///   - certificate: path of a PEM file: the server's certificate, and those between it and a trusted CA.
    ///   - key: path of a PEM file with its private key.
    /// - Throws: `.unusableFile` with a sentence for the operator.
    package init(certificate: String, key: String) throws(TLSError) {
        let chainFile = try PEMFile(certificate, holding: "certificate")
        let chain = try chainFile.certificates()
        defer { for certificate in chain { X509_free(certificate) } }
        let keyFile = try PEMFile(key, holding: "key")
        let privateKey = try keyFile.privateKey()
        defer { EVP_PKEY_free(privateKey) }
        guard X509_check_private_key(chain[0], privateKey) == 1 else {
            throw .unusableFile("The key in \(key) belongs to another certificate than the one in \(certificate).")
        }
        context = TLSDefaults.makeContext(TLS_server_method())
        expiry = chain.map { Self.seconds(X509_get0_notAfter($0)) }.min() ?? 0
        start = chain.map { Self.seconds(X509_get0_notBefore($0)) }.max() ?? 0
        // With forward secrecy, and what HTTP/2 allows (RFC 9113, 9.2.2). TLS 1.3 has its own list.
        SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20")
        // No others: finite-field groups and P-521 take many times the processor time. Before 3.5 OpenSSL lacks the first.
        for groups in ["X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"]
        where Self.setGroups(groups, of: context) {
            break
        }
        SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
        SSL_CTX_set_alpn_select_cb(context, ApplicationProtocols.select, nil)
        ERR_clear_error()
        guard SSL_CTX_use_certificate(context, chain[0]) == 1,
            chain.dropFirst().allSatisfy({
                SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer($0)) == 1
            }), SSL_CTX_use_PrivateKey(context, privateKey) == 1
        else { throw .unusableFile("Cannot use the certificate in \(certificate): \(TLSReason.last).") }
    }

    deinit { SSL_CTX_free(context) }

    func makeConnection() -> OpaquePointer {
        guard let connection = SSL_new(context) else { preconditionFailure("Out of memory") }
        return connection
    }

    private static func setGroups(_ names: String, of context: OpaquePointer) -> Bool {
        names.withCString {
            SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, UnsafeMutableRawPointer(mutating: $0)) == 1
        }
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return timegm(&parts)
    }
}

/// The protocols above TLS that a server speaks (ALPN, RFC 7301).
private enum ApplicationProtocols {
    /// Each with its length before it.
    nonisolated(unsafe) private static let list: UnsafeBufferPointer<UInt8> = {
        let names = ["h2", "http/1.1"].flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let list = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: names.count)
        _ = list.initialize(fromContentsOf: names)
        return UnsafeBufferPointer(list)
    }()

    /// The server's favourite of those that the client offers. Without a common one the handshake fails.
    static let select:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
            UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
        ) -> Int32 = { _, chosen, length, offered, count, _ in
            var name: UnsafeMutablePointer<UInt8>?
            let result = SSL_select_next_proto(&name, length, list.baseAddress, UInt32(list.count), offered, count)
            chosen?.pointee = UnsafePointer(name)
            return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
        }
}
