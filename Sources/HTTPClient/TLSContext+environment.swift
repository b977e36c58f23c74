import Foundation
package import TLS

extension TLSContext {
    /// Trusts the CA certificates in `SSL_CERT_FILE`, as is usual with OpenSSL, else the system's.
    ///
    /// - Throws: `.unusableFile`.
    package static func ofEnvironment(
        _ environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(TLSError) -> TLSContext {
        let file = environment["SSL_CERT_FILE"] ?? ""
        return try TLSContext(authorities: file.isEmpty ? nil : file)
    }
}
