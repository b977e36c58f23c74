import COpenSSL

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A client's trusted CAs and certificate, for any number of connections with TLS 1.2 or 1.3.
package final class TLSContext: @unchecked Sendable {
    package enum Verification: Sendable {
        /// The certificate must be signed by a trusted CA, and name the host.
        case full
        /// The certificate must be signed by a trusted CA.
        case authority
        /// Any certificate is accepted.
        case none
    }

    let verification: Verification
    // SSL_CTX counts its references atomically, and is not changed after init.
    private let context: OpaquePointer

    /// Reads the files.
    ///
    /// - Parameters:
    ///   - authorities: path of a PEM file with CA certificates, or of a folder prepared by `openssl rehash`; nil for
    ///     the system's.
    ///   - identity: paths of PEM files: the client's certificate (chain) and its key.
    /// - Throws: `.unusableFile`.
    package init(
        verification: Verification = .full, authorities: String? = nil,
        identity: (certificate: String, key: String)? = nil
    ) throws(TLSError) {
        context = TLSDefaults.makeContext(TLS_client_method())
        self.verification = verification
        SSL_CTX_set_verify(context, verification == .none ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        // By default OpenSSL asks for a passphrase at the terminal.
        SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
        if let authorities {
            ERR_clear_error()
            guard
                SSL_CTX_load_verify_file(context, authorities) == 1
                    || Self.isFolder(authorities) && SSL_CTX_load_verify_dir(context, authorities) == 1
            else { throw .unusableFile("\(authorities): \(TLSReason.last)") }
        } else {
            SSL_CTX_set_default_verify_paths(context)
        }
        if let identity {
            ERR_clear_error()
            guard SSL_CTX_use_certificate_chain_file(context, identity.certificate) == 1 else {
                throw .unusableFile("\(identity.certificate): \(TLSReason.last)")
            }
            guard SSL_CTX_use_PrivateKey_file(context, identity.key, SSL_FILETYPE_PEM) == 1 else {
                throw .unusableFile("\(identity.key): \(TLSReason.last)")
            }
        }
    }

    deinit { SSL_CTX_free(context) }

    func makeConnection() -> OpaquePointer {
        guard let connection = SSL_new(context) else { preconditionFailure("Out of memory") }
        return connection
    }

    private static func isFolder(_ path: String) -> Bool {
        guard let folder = opendir(path) else { return false }
        closedir(folder)
        return true
    }
}
