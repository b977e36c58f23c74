/// Why TLS fails, with a short text, OpenSSL's if there is one.
package enum TLSError: Error, CustomStringConvertible {
    /// A configured file is missing or invalid.
    case unusableFile(String)
    /// The server's certificate is not signed by a trusted CA.
    case untrusted(String)
    /// The server's certificate belongs to another host.
    case otherHost(String)
    /// A server's client speaks something else, such as plain HTTP.
    case notTLS
    /// Any other failure, in the handshake or later.
    case failed(String)

    package var description: String {
        switch self {
        case .unusableFile(let text), .untrusted(let text), .otherHost(let text), .failed(let text): text
        case .notTLS: "the client does not speak TLS"
        }
    }
}
