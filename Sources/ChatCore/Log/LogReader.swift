/// Reads every chat's log for consumers outside the chat (webhooks, exports, a search index), and stores a cursor for
/// each chat.
///
///     let reader = LogReader("webhooks", backend)
///     try await reader.sweep { chat, messages in try await deliver(messages, of: chat) }
///
/// Each message is delivered at least once, after all lower ones of its chat. The cursor moves after `body` has
/// returned: if the reader dies before, the messages are delivered again. The reader never passes a gap that may still
/// be filled: it stops there until the number is stored, or is old enough to be made void (as in `LogOrder`). Any
/// number of processes may read under one name; each message then goes to at least one of them.
package struct LogReader: Sendable {
    /// The name under which the cursors are stored.
    package struct Name: Hashable, Sendable, ExpressibleByStringLiteral {
        package let text: String

        /// - Parameter text: 1 to 64 ASCII letters, digits, hyphens and dots.
        package init(_ text: String) {
            precondition(
                (1...64).contains(text.utf8.count)
                    && text.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                            true
                        default: false
                        }
                    }, "a reader cannot be called \(text)")
            self.text = text
        }

        package init(stringLiteral text: String) { self.init(text) }
    }

    /// Numbers that are settled at once.
    private static let settledAtOnce: Int64 = 4096
    /// A row whose time is further ahead comes from a wrong clock: its age counts as reached.
    private static let latest = Duration.seconds(3600)

    private let name: Name
    private let readers: any LogReaders
    private let messages: any MessageStore
    private let log: any ChatLog
    private let clock: WallClock
    private let limits = StreamLimits()

    /// - Parameter clock: tells the age of a row after a gap.
    package init(
        _ name: Name, readers: any LogReaders, messages: any MessageStore, log: any ChatLog,
        clock: WallClock = .system
    ) {
        self.name = name
        self.readers = readers
        self.messages = messages
        self.log = log
        self.clock = clock
    }

    package init(_ name: Name, _ backend: Backend, clock: WallClock = .system) {
        self.init(
            name, readers: backend.readers, messages: backend.messages, log: backend.chatLog, clock: clock)
    }

    /// Delivers the new messages of all chats, one chat after the other.
    ///
    /// - Parameter body: gets messages of one chat, in order. If it throws, the next sweep delivers them again.
    /// - Throws: `ChatError.unavailable`, `CancellationError`, or the error of `body`.
    package func sweep(_ body: (Chat.ID, [Message]) async throws -> Void) async throws {
        var sweep = try await readers.beginSweep(of: name)
        var isWhole = true
        while let chats = try await readers.nextChats(of: &sweep) {
            let cursors = try await readers.cursors(of: name, in: chats)
            let highest = try await messages.lastNumbers(of: chats)
            for chat in chats where highest[chat, default: 0] > cursors[chat, default: 0] {
                if try await !read(chat, body) { isWhole = false }
            }
        }
        // If it stopped at a gap, the next sweep must find that chat again.
        if isWhole { try await readers.finish(sweep) }
    }

    /// Delivers the new messages of one chat.
    ///
    /// - Returns: false if it stopped at a gap that may still be filled.
    /// - Throws: like `sweep`.
    @discardableResult
    package func read(_ chat: Chat.ID, _ body: (Chat.ID, [Message]) async throws -> Void) async throws -> Bool {
        var cursor = try await cursor(in: chat)
        while true {
            try Task.checkCancellation()
            guard let entries = try await entries(in: chat, after: cursor) else { return false }
            guard let last = entries.last?.last.rawValue else { return true }
            let messages = entries.compactMap(\.message)
            if !messages.isEmpty { try await body(chat, messages) }
            if try await readers.advance(name, in: chat, from: cursor, to: last) {
                cursor = last
            } else {
                // Another process has moved the cursor, and may be dead by now: continue from there.
                cursor = try await self.cursor(in: chat)
            }
        }
    }

    /// The entries after a number, including void ones, without omissions; at most a page.
    ///
    /// - Returns: empty at the end of the log; nil at a gap that may still be filled.
    func entries(in chat: Chat.ID, after number: Int64) async throws -> [LogEntry]? {
        while true {
            let rows = try await messages.entries(in: chat, after: number, limit: limits.page)
            var last = number
            let due = rows.prefix { row in
                guard row.number.rawValue <= last + 1 else { return false }
                last = row.last.rawValue
                return true
            }
            guard due.isEmpty, let next = rows.first else { return Array(due) }
            let (age, missing) = (clock.now(), number + 1...next.number.rawValue - 1)
            guard next.createdAt.adding(limits.gaps.grace) <= age || next.createdAt > age.adding(Self.latest) else {
                return nil
            }
            // No number beyond can be stored later, which search blocks rely on: a writer's numbers are at most
            // `NumberSource.reach` and its batch above one that is stored, and none in the hole is.
            if missing.count > LogTail.Hole.widest {
                try await log.settle(number + 1...number + LogOrder.settledOfWidest, in: chat)
                return [LogEntry(voids: missing)]
            }
            try await log.settle(number + 1...min(missing.upperBound, number + Self.settledAtOnce), in: chat)
        }
    }

    private func cursor(in chat: Chat.ID) async throws -> Int64 {
        try await readers.cursors(of: name, in: [chat])[chat] ?? 0
    }
}
