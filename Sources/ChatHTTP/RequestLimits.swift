/// The limits of a request, in bytes.
package enum RequestLimits {
    package static let body = 256 << 10
    package static let uri = 8 << 10
    /// Names and values together.
    package static let headers = 16 << 10
    /// The most bytes before a request's head is complete. Past it the connection is not read any further. It is larger
    /// than the limits of a head, so that a head slightly over these gets its own, precise answer.
    static let unparsed = 64 << 10
}
