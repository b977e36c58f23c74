/// How large a request may be, in bytes.
package enum RequestLimits {
    package static let body = 256 << 10
    package static let uri = 8 << 10
    /// Names and values together.
    package static let headers = 16 << 10
    /// What may arrive before a request's head is complete. Past it the connection is not read any further, so it is
    /// larger than what a head of the allowed size needs: that one gets its own, precise answer.
    static let unparsed = 64 << 10
}
