/// Reads the changes of what a reader has, from its cursor up to a revision. Costs as much as there are distinct things
/// that changed.
struct ChangeWalk: Sendable {
    /// What was read, and how far.
    struct Page: Sendable {
        var events: [ChangeEvent] = []
        /// All changes up to it are among the events, or are none for the reader.
        var revision: Int64
        /// Whether nothing had changed after it.
        var isWhole = false
        /// The highest revision that was read.
        var highest: Int64 = 0
    }

    /// Changes that are read at once, at most so many times for a page: most of them may be of messages that the reader does
    /// not have.
    private static let readAtOnce = 256
    /// Things whose states are read at once: at most 1.2 MB.
    private static let statesAtOnce = 16
    private static let reads = 16

    let reader: ChangeReader

    /// Changes of messages above the cursor's number are left out: those come with all their changes, if they are read
    /// from the store after this. Their pins are not: no message says whether it is pinned.
    ///
    /// - Parameters:
    ///   - cursor: the reader's; a plain one has no change.
    ///   - numbers: the messages that are there for it.
    ///   - limit: of the page. One event always fits.
    func page(
        in chat: Chat.ID, after cursor: Cursor, upTo last: Int64, in numbers: NumberSpan, _ limit: StreamLimits.Size
    ) async throws -> Page {
        var page = Page(revision: cursor.revision ?? 0)
        var bytes = 0
        for _ in 0..<Self.reads where page.revision < last {
            let items = try await reader.items(in: chat, after: page.revision, upTo: .max, limit: Self.readAtOnce)
            guard let highest = items.last?.revision else { break }
            page.highest = max(page.highest, highest)
            for some in items.prefix(while: { $0.revision <= last }).chunks(of: Self.statesAtOnce) {
                let known = some.filter { item in
                    item.isThere(in: numbers) && (item.kind != .message || item.number <= cursor.number)
                }
                guard known.isEmpty || page.events.count < limit.messages else { return page }
                for event in try await reader.events(of: known, in: chat) {
                    let size = event.writtenBytes
                    guard page.events.isEmpty || (page.events.count < limit.messages && bytes + size <= limit.bytes)
                    else { return page }
                    bytes += size
                    page.events.append(event)
                    page.revision = event.revision
                }
                page.revision = some.last!.revision
            }
            // The thing that changed last is always among them, unless the store lags behind what was told of it.
            if page.highest >= last { page.revision = last }
            if items.count < Self.readAtOnce {
                page.isWhole = page.highest == last
                break
            }
        }
        return page
    }
}
