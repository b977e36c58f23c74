/// A page of what has changed in a chat since a cursor.
package struct ChatChanges: Sendable {
    /// Each with the cursor after it.
    package var events: [(cursor: Cursor, event: LiveEvents.Event)] = []
    /// Where the next page begins.
    package var cursor: Cursor
    /// Whether there are more events now.
    package var hasMore = false

    init(from cursor: Cursor) { self.cursor = cursor }

    mutating func add(_ event: LiveEvents.Event, upTo cursor: Cursor) {
        events.append((cursor, event))
        self.cursor = cursor
    }
}

extension ChatScope {
    /// The cursor of a reader that has everything. Read it before the rows: what changes meanwhile comes a second time, and
    /// nothing is left out.
    package func head() async throws -> Cursor { try await read { try await $0.ends().head } }

    /// The head, and the highest number that is stored.
    private func ends() async throws -> (head: Cursor, highest: Int64) {
        let backend = tenant.service.backend
        let revision = try await backend.changes.revisions(of: [id])[id] ?? 0
        let tail = try await backend.messages.tail(of: id)
        // Below the first gap, however old: its number may still be stored, until it is made void.
        let number = min(tail.complete(without: nil), standing?.numbers.last ?? .max)
        return (Cursor(number, revision: revision, epoch: backend.cursorEpoch), tail.highest)
    }

    /// The same without waiting.
    ///
    /// - Returns: nil if only `head()` can read it.
    package func headNow() throws -> Cursor? {
        guard let head = try tenant.readNow({ try $0.headNow(of: id) }) else { return nil }
        return Cursor(
            min(head.number, standing?.numbers.last ?? .max), revision: head.revision,
            epoch: tenant.service.backend.cursorEpoch)
    }

    /// What has changed since a cursor: first the changes of what the reader has, by their revisions; then what is new, by
    /// number. Each thing as it is now, with all its changes up to the head. So a reader that applies the pages in order ends
    /// in the state of one that never left.
    ///
    /// Changes of messages above the cursor's number are left out: those come with all their changes.
    ///
    /// - Throws: `ChatError.notFound`; `.cursorEpoch` for a cursor beyond the head.
    package func changes(after cursor: Cursor, limit: Int, bytes: Int) async throws -> ChatChanges {
        try await read { found in
            var scope = found
            while true {
                let page = try await scope.page(after: cursor, limit: limit, bytes: bytes)
                guard let standing = scope.standing, standing.role == nil else { return page }
                // One that was let in again before the head was read is told so.
                scope = try await scope.tenant.chat(number)
                if scope.standing?.role == nil { return page }
            }
        }
    }

    private func page(after cursor: Cursor, limit: Int, bytes: Int) async throws -> ChatChanges {
        let head = try await check(cursor)
        let numbers = standing?.numbers ?? .all
        let start = Cursor(
            max(cursor.number, numbers.first - 1), revision: cursor.revision ?? 0, base: cursor.base,
            epoch: head.epoch)
        var page = ChatChanges(from: start)
        let walk = ChangeWalk(reader: ChangeReader(tenant.service.backend))
        let changed = try await walk.page(
            in: id, after: start, upTo: head.revision!, in: numbers,
            StreamLimits.Size(messages: limit, bytes: bytes))
        let events = LiveEvents(.changes(changed.events), after: start, isWhole: changed.isWhole, for: numbers)
        for index in 0..<events.count {
            let (event, next) = events.event(at: index)
            page.add(event, upTo: next)
        }
        page.cursor = Cursor(
            start.number, revision: changed.revision,
            base: changed.isWhole ? changed.revision : page.cursor.base, epoch: head.epoch)
        guard changed.revision >= head.revision! else {
            page.hasMore = true
            return page
        }
        let size = changed.events.reduce(0) { $0 + $1.writtenBytes }
        var room = Room(left: limit - changed.events.count, bytes: bytes - size)
        page.hasMore = try await !addNew(to: &page, in: numbers, &room)
        try await tellThreads(in: &page)
        return page
    }

    /// - Returns: the head.
    /// - Throws: `ChatError.cursorEpoch` for a cursor of another epoch, or beyond the head.
    @discardableResult
    func check(_ cursor: Cursor) async throws -> Cursor {
        let (head, highest) = try await ends()
        // Nobody has anything at 0, in whatever epoch.
        let isStart = cursor.number == 0 && cursor.revision ?? 0 == 0
        guard cursor.epoch == head.epoch || isStart,
            cursor.number <= min(max(highest, head.number), standing?.numbers.last ?? .max),
            cursor.revision ?? 0 <= head.revision!
        else { throw ChatError.cursorEpoch(head) }
        return head
    }

    /// What still fits into a page.
    private struct Room {
        var left: Int
        var bytes: Int

        /// - Returns: false if the page is full; one message always fits.
        mutating func take(_ message: Message, isFirst: Bool) -> Bool {
            let size = message.writtenBytes
            guard left > 0, isFirst || size <= bytes else { return false }
            left -= 1
            bytes -= size
            return true
        }
    }

    /// The new replies of a page get their roots.
    private func tellThreads(in page: inout ChatChanges) async throws {
        let new = page.events.indices.compactMap { index in
            if case .message(let message) = page.events[index].event { (index, message) } else { nil }
        }
        for ((index, _), message) in zip(new, try await tellingThreads(new.map(\.1))) {
            page.events[index].event = .message(message)
        }
    }

    /// - Returns: whether that is all, for now.
    private func addNew(
        to page: inout ChatChanges, in numbers: NumberSpan, _ room: inout Room
    ) async throws -> Bool {
        let service = tenant.service
        let reader = LogReader("changes", service.backend, clock: service.clock)
        while true {
            // At a gap that may still be filled, the rest comes with the next page.
            guard let entries = try await reader.entries(in: id, after: page.cursor.number), !entries.isEmpty else {
                return true
            }
            for entry in entries {
                guard entry.number.rawValue <= numbers.last else { return true }
                let next = page.cursor.at(min(entry.last.rawValue, numbers.last))
                guard let message = entry.message else {
                    page.cursor = next
                    continue
                }
                guard room.take(message, isFirst: page.events.isEmpty) else { return false }
                page.add(.message(message), upTo: next)
            }
        }
    }
}
