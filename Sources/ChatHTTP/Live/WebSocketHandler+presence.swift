import ChatCore
import NIOCore
import NIOWebSocket

/// Whom a connection's client watches.
struct SocketPresence {
    /// Nil before it asks, and after the connection is closed.
    var watch: PresenceWatch?
    /// Of the list that counts.
    var number: UInt64 = 0
}

extension WebSocketHandler {
    func finished(_ watching: SocketSession.Watching, _ outcome: Result<PresenceWatch?, any Error>) {
        var failure: (any Error)?
        switch outcome {
        case .success(let watch):
            // Lists are looked up beside each other, and the last one counts.
            if context != nil, watching.number > presence.number {
                presence = SocketPresence(watch: watch, number: watching.number)
            }
        case .failure(let error): failure = error
        }
        perform(session.finished(watching, failure))
        tellPresence()
        readOn()
    }

    /// Tells what is new of the users whom the client watches, while it reads: of each user the last state waits.
    func tellPresence() {
        guard let watch = presence.watch, link.phase == .open, context?.channel.isWritable == true else { return }
        while true {
            let changes = watch.take { [outlet] in outlet?.tellPresence() }
            if changes.isEmpty { break }
            for change in changes { write(.text, PresenceAnswer(presence: change).text) }
        }
        flush()
    }
}
