/// What live connections may take, and how they are kept awake.
package struct LiveLimits: Sendable {
    /// After so long without an event a stream has a comment, so that no proxy takes it for dead.
    package var comment = Duration.seconds(15)
    /// A socket is pinged so often; one that has not made a sound by the next ping is closed.
    package var ping = Duration.seconds(25)
    /// Subscriptions of one socket.
    package var subscriptions = 100
    /// From the first byte of a message over a socket to its last.
    package var message = Duration.seconds(30)
    /// Messages that one socket has sent and that are not stored yet. It is not read any further meanwhile.
    package var sends = 16

    package init() {}
}
