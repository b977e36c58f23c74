/// The bounds of live streams.
package struct StreamLimits: Sendable {
    /// Subscriptions at the same time, shared by the tenants (`FairShare`).
    package var subscriptions = 65_536
    /// How far a live reader may be behind: the newest messages of a chat that are kept for its readers, which share them.
    package var window = Size(messages: 1024, bytes: 2 << 20)
    /// Less of them is not worth dropping; what is kept of each chat once all together are at `windowsBytes`.
    package var smallWindow = Size(messages: 64, bytes: 64 << 10)
    /// Of all chats together.
    package var windowsBytes = 256 << 20
    /// Messages of a chat that wait for lower numbers. Past it they are read from the store when it is their turn.
    package var ahead = Size(messages: 1024, bytes: 2 << 20)
    /// What a reader is given at a time.
    package var page = Size(messages: 256, bytes: Page.defaultBytes)
    /// Of the pages that readers were given and have not written out, as they are written, of all readers together, shared
    /// by the tenants (`ReadLine`).
    package var pagesBytes = 256 << 20
    /// Reads at the same time for readers that catch up, and as many for chats that have missed something.
    package var reads = 4
    package var gaps = GapPatience()

    package init() {}

    package struct Size: Sendable {
        package var messages: Int
        /// Of the messages' bodies, and a little for each message itself.
        package var bytes: Int

        package init(messages: Int, bytes: Int) {
            self.messages = messages
            self.bytes = bytes
        }
    }
}

/// How long a number may be missing below one that is there.
package struct GapPatience: Sendable {
    /// After that the store is asked: a message that was merely told of late has come by then.
    package var look = Duration.milliseconds(50)
    /// After that it is made sure of: its writer is dead, or takes another number.
    package var grace = Duration.seconds(2)
}

extension Message {
    /// What it weighs against a bound.
    var weight: Int { body.utf8.count + 64 }

    /// What it takes to write it out. Looks at every byte.
    var writtenBytes: Int { body.lengthInJSON + 160 }
}
