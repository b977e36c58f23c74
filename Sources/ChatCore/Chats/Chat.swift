/// A numbered conversation of one tenant.
package struct Chat: Equatable, Sendable {
    /// The row id in `chats`; never shown to a client.
    package struct ID: Hashable, Sendable {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    /// 1, 2, 3 … within its tenant, in the order of creation.
    package struct Number: Hashable, Sendable, SequenceNumber {
        package let rawValue: Int64

        package init(_ rawValue: Int64) { self.rawValue = rawValue }
    }

    package let number: Number
    /// Exact in the embedded backend; up to a minute behind in the cluster.
    package var messagesCount: Int64
    package let createdAt: Timestamp
    package let settings: Settings

    package init(number: Number, messagesCount: Int64, createdAt: Timestamp, settings: Settings = Settings()) {
        self.number = number
        self.messagesCount = messagesCount
        self.createdAt = createdAt
        self.settings = settings
    }
}
