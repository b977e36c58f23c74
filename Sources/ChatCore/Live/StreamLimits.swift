/// The bounds of live streams.
package struct StreamLimits: Sendable {
    /// Subscriptions at the same time, shared by the tenants (`FairShare`).
    package var subscriptions = 65_536
    /// How far a live reader may fall behind: the newest messages of a chat, which its readers share.
    package var window = Size(messages: 1024, bytes: 2 << 20)
    /// A smaller window is not trimmed. Also the limit of each window once all together exceed `windowsBytes`.
    package var smallWindow = Size(messages: 64, bytes: 64 << 10)
    /// Of the windows of all chats.
    package var windowsBytes = 256 << 20
    /// Messages of a chat that wait for lower numbers. Past it they are dropped, and read from the store later.
    package var ahead = Size(messages: 1024, bytes: 2 << 20)
    /// The size of a page.
    package var page = Size(messages: 256, bytes: Page.defaultBytes)
    /// Encoded bytes of the pages that readers have taken and not written, of all readers; shared by the tenants
    /// (`ReadLine`).
    package var pagesBytes = 256 << 20
    /// Concurrent reads from the store for readers that catch up, and as many for chats with gaps.
    package var reads = 4
    package var gaps = GapPatience()

    package init() {}

    /// Subscriptions that one address may have, of however many tenants.
    var clientSubscriptions: Int { max(1, subscriptions - subscriptions / 4) }

    package struct Size: Sendable {
        package var messages: Int
        /// Bytes of the messages' bodies, and a little for each message itself.
        package var bytes: Int

        package init(messages: Int, bytes: Int) {
            self.messages = messages
            self.bytes = bytes
        }
    }
}

/// How long a gap may stay open.
package struct GapPatience: Sendable {
    /// After this time the store is asked: a message that was only delayed on the bus has arrived by then.
    package var look = Duration.milliseconds(50)
    /// After this time the number is settled: its writer is dead, or takes another number.
    package var grace = Duration.seconds(2)
}

extension Message {
    /// Its bytes in memory, estimated, for the bounds.
    var weight: Int {
        body.utf8.count + (content.metadata?.utf8.count ?? 0) + (content.mentions?.size ?? 0) + 64
    }

    /// Its encoded bytes, estimated. Scans the whole body.
    var writtenBytes: Int { textsInJSON + (content.thread == nil ? 160 : 288) }
}
