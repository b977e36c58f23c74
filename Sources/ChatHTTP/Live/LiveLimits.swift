/// Limits and keep-alives of live connections.
package struct LiveLimits: Sendable {
    /// After this time without an event a stream gets a comment, so that no proxy considers it dead.
    package var comment = Duration.seconds(15)
    /// Interval of pings. A socket that is silent until the next ping is closed.
    package var ping = Duration.seconds(25)
    /// Subscriptions of one socket.
    package var subscriptions = 100
    /// Time from a message's first byte on a socket to its last.
    package var message = Duration.seconds(30)
    /// Messages from one socket that are not stored yet. At the limit the socket is not read.
    package var sends = 16

    /// Sockets that have not shown a token yet (`SocketLobby`).
    package var waiting = 1024

    package init() {}
}
