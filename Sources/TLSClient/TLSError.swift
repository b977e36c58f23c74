/// Why TLS does not come about. The text says so in a few words, OpenSSL's where it has some.
package enum TLSError: Error, CustomStringConvertible {
    /// A file that was named is not there, or is not what it should be.
    case unusableFile(String)
    /// No authority that is trusted here vouches for the server.
    case untrusted(String)
    /// The server's certificate is another host's.
    case otherHost(String)
    /// Anything else, on the way or later.
    case failed(String)

    package var description: String {
        switch self {
        case .unusableFile(let text), .untrusted(let text), .otherHost(let text), .failed(let text): text
        }
    }
}
