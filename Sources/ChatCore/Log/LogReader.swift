/// Reads every chat's log for what follows from it (webhooks, an export, the feed of a search engine), and remembers how far
/// it has come in each chat.
///
///     let reader = LogReader("webhooks", backend)
///     try await reader.sweep { chat, messages in try await deliver(messages, of: chat) }
///
/// Each message is given at least once, after all lower ones of its chat: a cursor moves when `body` has returned, so that
/// what a reader had in hand when it died comes again. No number that may still come is passed: the reader stops before
/// one that is missing until it is there, or has been missing for so long that it is made void (as streams do: `LogOrder`).
/// Any number of processes may read under one name, each message then goes to one of them or to several.
package struct LogReader: Sendable {
    /// What the cursors are stored under.
    package struct Name: Hashable, Sendable, ExpressibleByStringLiteral {
        package let text: String

        /// - Parameter text: 1 to 64 letters, digits, hyphens and dots of ASCII.
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

    /// Numbers that are made sure of at once.
    private static let settledAtOnce: Int64 = 4096
    /// A row from further in the future has its writer's mistaken time: nobody waits for that.
    private static let latest = Duration.seconds(3600)

    private let name: Name
    private let readers: any LogReaders
    private let messages: any MessageStore
    private let log: any ChatLog
    private let clock: WallClock
    private let limits = StreamLimits()

    /// - Parameter clock: tells how old a row is that follows a missing number.
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

    /// Gives what is new in all chats, one after the other.
    ///
    /// - Parameter body: gets messages of one chat, in order. When it throws, they are given again by the next sweep.
    /// - Throws: `ChatError.unavailable`, `CancellationError`, what `body` throws.
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
        // What it has stopped before is to be found again.
        if isWhole { try await readers.finish(sweep) }
    }

    /// Gives what is new in one chat.
    ///
    /// - Returns: false where it has stopped before a number that may still come.
    /// - Throws: as `sweep`.
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
                // Another process may have come further, and may be dead by now: this one goes on from there to the end.
                cursor = try await self.cursor(in: chat)
            }
        }
    }

    /// The entries after a number, void ones too, none left out between them; at most a page.
    ///
    /// - Returns: none at the end of the log; nil before a number that may still come.
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
