/// A place in the hits of a search across a tenant, newest first.
package struct SearchPlace: Comparable, Hashable, Sendable {
    package let createdAt: Timestamp
    package let chat: Chat.ID
    package let number: Message.Number

    package init(createdAt: Timestamp, chat: Chat.ID, number: Message.Number) {
        self.createdAt = createdAt
        self.chat = chat
        self.number = number
    }

    package static func < (left: SearchPlace, right: SearchPlace) -> Bool {
        (left.createdAt.microseconds, left.chat.rawValue, left.number.rawValue)
            < (right.createdAt.microseconds, right.chat.rawValue, right.number.rawValue)
    }
}

/// A slice of the hits of a search across a tenant.
package struct TenantSearchPage: Equatable, Sendable {
    package var limit: Int
    /// Only hits before this place: older ones.
    package var before: SearchPlace?
    /// Where an earlier search of this page stopped.
    package var progress: TenantSearchProgress?
    /// The most bytes of the messages' bodies, as JSON; at least one hit comes.
    package var bytes: Int

    package init(limit: Int = Page.defaultLimit, before: SearchPlace? = nil, bytes: Int = Page.defaultBytes) {
        self.limit = limit
        self.before = before
        self.bytes = bytes
    }
}

/// A message that a search across a tenant has found.
package struct TenantHit: Equatable, Sendable {
    package let place: SearchPlace
    package let chatNumber: Chat.Number
    package let message: Message

    package init(chat: Chat.ID, number: Chat.Number, message: Message) {
        self.place = SearchPlace(createdAt: message.createdAt, chat: chat, number: message.number)
        self.chatNumber = number
        self.message = message
    }
}

/// One page of hits across a tenant, newest first.
package struct TenantHits: Equatable, Sendable {
    package let hits: [TenantHit]
    package let hasMore: Bool
    /// The time was up: these are all hits that are newer than this, and the search goes on from here. Nil if the page
    /// is complete.
    package let stoppedAt: Timestamp?
    /// There are no hits down to this place, and the search goes on from here.
    package var end: SearchPlace?
    /// The time was up before anything was known: there are no hits, and the search goes on from here.
    package var progress: TenantSearchProgress?
    /// The numbers of the chats of `end` and `progress`.
    package var chatNumbers: [Chat.ID: Chat.Number] = [:]
    /// Whether the store answered, although there is an engine.
    package var fellBack = false

    package init(hits: [TenantHit], hasMore: Bool, stoppedAt: Timestamp? = nil) {
        self.hits = hits
        self.hasMore = hasMore
        self.stoppedAt = stoppedAt
    }
}

/// Collects the newest hits across a tenant, in whatever order chats, blocks and rows are searched.
///
/// A block knows the time of each candidate, so most of a frequent text's never need their rows: only those that would be
/// on the page are read, at the end (`readRows`).
package struct TenantSearchWalk {
    fileprivate struct Hit {
        let place: SearchPlace
        /// Nil as long as only a block says that it matches.
        var message: Message?
    }

    private let query: SearchQuery
    private let page: TenantSearchPage
    private let start: TenantSearchProgress
    private var time: SearchTime
    private var matcher: SearchMatcher
    /// What to search blocks for; nil if only rows can tell.
    package let needle: SearchNeedle?
    /// Newest first; one more than the page has, which shows that there are more.
    private var hits: [Hit] = []
    /// Of the known bodies, as JSON.
    private var bytes = 0
    /// Whether hits were left out, so that only newer ones than the last matter.
    private var isFull = false
    /// Older hits than this may have been left out; nil if none were.
    private var end: SearchPlace?
    /// Candidates whose rows do not match.
    private var mistaken: Set<SearchPlace> = []
    /// What is left to search is not newer; nil as long as nothing is known about it.
    private var rest: Timestamp?
    private var isCutShort = false
    /// How far it has searched rows.
    private var passed: TenantSearchProgress?
    /// Where it stopped, if nothing is known of the newest hits: then it has found nothing.
    package private(set) var progress: TenantSearchProgress?

    /// What is there for the query's viewer.
    private var seen: [Chat.ID: NumberSpan] = [:]

    /// The rows of candidates that are read at once.
    private static let rowsAtOnce = 64

    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package init(_ query: SearchQuery, page: TenantSearchPage, until deadline: ContinuousClock.Instant) throws {
        self.query = query
        var page = page
        // What is carried from one request to the next shows whether there are more, too.
        if page.progress != nil { page.limit = min(page.limit, TenantSearchProgress.most - 1) }
        self.page = page
        self.start = page.progress ?? TenantSearchProgress(chat: Chat.Number(1), hits: [], isFull: false)
        self.time = try SearchTime(until: deadline)
        self.matcher = SearchMatcher(query.text)
        self.needle = query.needle
    }

    /// Searches a tenant. All closures read one snapshot.
    ///
    /// - Parameters:
    ///   - rows: shows the walk (`see`) the rows that are in no block, those that are `left` of each chat, by the chats'
    ///     numbers, and says how far it came (`pass`).
    ///   - blocks: shows it the candidates of blocks (`take`), newest blocks first, as long as it wants them.
    ///   - lookUp: the messages at these places, those that are there.
    /// - Throws: `ChatError.searchTimedOut` if nothing is known about any time by then, and it is no further than the
    ///   search before (else see `progress`); what the closures throw.
    package mutating func run(
        rows: (inout TenantSearchWalk) throws -> Void,
        blocks: (inout TenantSearchWalk) throws -> Void,
        lookUp: ([SearchPlace]) throws -> [SearchPlace: Message]
    ) throws {
        repeat {
            (hits, bytes, isFull, rest, passed) = ([], 0, false, nil, nil)
            for place in start.hits where mayBeOnPage(place) && !mistaken.contains(place) {
                insert(Hit(place: place, message: nil))
            }
            isFull = isFull || start.isFull
            do {
                if start.chat != nil { try rows(&self) }
            } catch ChatError.searchTimedOut {
                return try stop()
            }
            do {
                try blocks(&self)
                end = isFull ? hits.last?.place ?? floor : nil
            } catch ChatError.searchTimedOut {
                let last = isFull ? hits.last?.place ?? floor : nil
                if !cutShort() {
                    passed = Self.allRows
                    return try stop()
                }
                // What was left out for being older than the last is older than all that is left, too.
                end = hits.last?.place == last ? last : nil
            }
            // A candidate whose row does not match may have kept out an older one that does.
        } while try !readRows(lookUp) && isFull && !isCutShort
    }

    /// Like `SearchWalk.looking`.
    package var looking: SearchRows { SearchRows(matcher: matcher, time: time) }

    /// What an earlier request has found below was not kept; nil if all was.
    private var floor: SearchPlace? { start.isFull ? start.hits.last : nil }

    /// Where rows are left to search; nil if there are none.
    package var firstChat: Chat.Number? { start.chat }

    /// The numbers of a chat whose rows are left to search.
    package func left(of chat: Chat.Number) -> PartialRangeFrom<Int64>? { start.left(of: chat) }

    /// All rows of chats with lower numbers were seen, and of this one those up to `number`.
    package mutating func pass(_ chat: Chat.Number, upTo number: Int64 = .max) {
        passed = TenantSearchProgress(chat: chat, number: number, hits: [], isFull: false)
    }

    /// Gives up for now, if the next request will be nearer to the end.
    private mutating func stop() throws {
        guard let passed, start.precedes(passed) else { throw ChatError.searchTimedOut(passed: nil) }
        keepHits(passed)
    }

    /// Leaves what it has found to the next request.
    private mutating func keepHits(_ passed: TenantSearchProgress) {
        let most = min(page.limit + 1, TenantSearchProgress.most)
        progress = TenantSearchProgress(
            chat: passed.chat, number: passed.number, hits: hits.prefix(most).map(\.place),
            isFull: isFull || hits.count > most)
        hits = []
    }

    private static let allRows = TenantSearchProgress(chat: nil, hits: [], isFull: false)

    /// Whether messages of that time and older ones may still be among the hits. Asked for one block after the other, in
    /// the order of these times: what is left is not newer.
    package mutating func wants(upTo newest: Timestamp) -> Bool {
        rest = newest
        if let after = query.after, newest <= after { return false }
        guard isFull, let last = hits.last else { return true }
        return newest >= last.place.createdAt
    }

    /// Whether messages of that time and newer ones are newer than all that is searched for.
    package func hasPassed(from oldest: Timestamp) -> Bool { newest.map { oldest > $0 } ?? false }

    /// No newer message is searched for; nil if there is no such bound.
    package var newest: Timestamp? {
        guard let place = page.before?.createdAt, let before = query.before else {
            return page.before?.createdAt ?? query.before
        }
        return min(place, before)
    }

    /// Tells what is there for the query's viewer, who sees nothing else. Call it for each chat before `run`.
    ///
    /// - Parameter member: the viewer's row, if there is one.
    package mutating func admit(_ chat: Chat.ID, access: Chat.Access, member: Member?) {
        seen[chat] = Standing(access: access, member: member)?.numbers
    }

    /// Searches one message.
    ///
    /// - Parameters:
    ///   - body: its text in UTF-8.
    ///   - message: makes the message; called for a match.
    /// - Throws: `ChatError.searchTimedOut` past the deadline; `CancellationError`.
    package mutating func see(_ body: UnsafeRawBufferPointer, in chat: Chat.ID, _ message: () -> Message) throws {
        if matcher.matches(body) {
            let message = message()
            let place = SearchPlace(createdAt: message.createdAt, chat: chat, number: message.number)
            if mayBeOnPage(place), query.takes(message) { insert(Hit(place: place, message: message)) }
        }
        try count(bytes: body.count + SearchWalk.row)
    }

    /// Takes the candidates of a block.
    ///
    /// Their rows are read at the end, as far as they are on the page; or now, if it is not only their text that decides:
    /// then most of them may be no hits.
    ///
    /// - Parameter lookUp: as in `run`.
    /// - Throws: likewise.
    package mutating func take(
        _ candidates: [SearchCandidate], of chat: Chat.ID,
        _ lookUp: ([SearchPlace]) throws -> [SearchPlace: Message]
    ) throws {
        let places = candidates.reversed().map { candidate in
            SearchPlace(createdAt: candidate.createdAt, chat: chat, number: Message.Number(candidate.number))
        }
        guard query.sender != nil else {
            for place in places where mayBeOnPage(place) && !mistaken.contains(place) {
                insert(Hit(place: place, message: nil))
            }
            return
        }
        for some in places.filter(mayBeOnPage).chunks(of: Self.rowsAtOnce) {
            let rows = try lookUp(Array(some))
            for place in some {
                if let message = rows[place], matches(message), mayBeOnPage(place) {
                    insert(Hit(place: place, message: message))
                }
                try count(bytes: (rows[place]?.body.utf8.count ?? 0) + SearchWalk.row)
            }
        }
    }

    /// Most matches of a frequent text are older than a full page.
    private func mayBeOnPage(_ place: SearchPlace) -> Bool {
        if isFull, let last = hits.last, place < last.place { return false }
        if let chats = query.chats, !chats.contains(place.chat) { return false }
        if let floor, place < floor { return false }
        if query.viewer != nil, seen[place.chat]?.contains(place.number.rawValue) != true { return false }
        return query.takes(place.createdAt) && page.before.map { place < $0 } ?? true
    }

    private mutating func insert(_ hit: Hit) {
        let index = hits.firstIndexNotAbove(hit.place)
        guard index == hits.count || hits[index].place != hit.place else { return }
        hits.insert(hit, at: index)
        bytes += hit.bytes
        // One more than the page has stays, which shows that there are more.
        while let last = hits.last, hits.count > page.limit + 1 || hits.count > 2 && bytes - last.bytes > page.bytes {
            hits.removeLast()
            bytes -= last.bytes
            isFull = true
        }
        if hits.count > page.limit { isFull = true }
    }

    /// Counts bytes that the store has searched.
    ///
    /// - Throws: like `see`.
    package mutating func count(bytes: Int) throws { try time.count(bytes: bytes) }

    /// Keeps the hits that are newer than all that is left to search; if there are none, the others for the next request.
    ///
    /// - Returns: false if that cannot be known, or a search from there would be no shorter.
    private mutating func cutShort() -> Bool {
        guard let rest, newest.map({ rest < $0 }) ?? true else { return false }
        if let newest = hits.first, newest.place.createdAt <= rest { keepHits(Self.allRows) }
        hits.removeAll { $0.place.createdAt <= rest }
        bytes = hits.reduce(0) { $0 + $1.bytes }
        isCutShort = true
        return true
    }

    /// Reads the rows of the hits of which only blocks are known, as far as the page goes.
    ///
    /// - Returns: false if some of them do not match; these are left out.
    private mutating func readRows(_ lookUp: ([SearchPlace]) throws -> [SearchPlace: Message]) throws -> Bool {
        var (index, size, areRight) = (0, 0, true)
        while index < hits.count, index <= page.limit, size <= page.bytes || index < 2 {
            if hits[index].message == nil {
                try Task.checkCancellation()
                let unread = hits[index...].prefix(page.limit + 1 - index).filter { $0.message == nil }
                let places = unread.prefix(Self.rowsAtOnce).map(\.place)
                let rows = try lookUp(places)
                for place in places {
                    let at = hits.firstIndexNotAbove(place)
                    // A place that a client has sent may have any time.
                    if let message = rows[place], message.createdAt == place.createdAt || !start.hits.contains(place),
                        matches(message)
                    {
                        hits[at].message = message
                        bytes += hits[at].bytes
                    } else {
                        hits.remove(at: at)
                        mistaken.insert(place)
                        areRight = false
                    }
                }
            } else {
                size += hits[index].bytes
                index += 1
            }
        }
        return areRight
    }

    private mutating func matches(_ message: Message) -> Bool {
        var body = message.body
        return query.takes(message) && body.withUTF8 { matcher.matches(UnsafeRawBufferPointer($0)) }
    }

    /// The result.
    ///
    /// - Parameter numbers: of chats, without those that are gone.
    package func hits(_ numbers: ([Chat.ID]) throws -> [Chat.ID: Chat.Number]) rethrows -> TenantHits {
        let (found, hasMore, stoppedAt) = self.found
        let places = found.map(\.place) + (progress?.hits ?? []) + (end.map { [$0] } ?? [])
        let numbers = try numbers(Array(Set(places.map(\.chat))))
        var hits = TenantHits(
            hits: found.compactMap { place, message in
                numbers[place.chat].map { TenantHit(chat: place.chat, number: $0, message: message) }
            }, hasMore: hasMore || progress != nil, stoppedAt: stoppedAt)
        hits.progress = progress
        if found.isEmpty, progress == nil { hits.end = end }
        hits.chatNumbers = numbers
        return hits
    }

    /// The page's hits, newest first, whether there are more, and `TenantHits.stoppedAt`.
    package var found: (hits: [(place: SearchPlace, message: Message)], hasMore: Bool, stoppedAt: Timestamp?) {
        var (bytes, kept) = (0, [(place: SearchPlace, message: Message)]())
        for hit in hits.prefix(page.limit) {
            guard let message = hit.message else { break }
            bytes += hit.bytes
            if !kept.isEmpty, bytes > page.bytes { break }
            kept.append((hit.place, message))
        }
        if hits.count > kept.count { return (kept, true, nil) }
        // The others did not match: what was left out for them follows.
        if end != nil { return (kept, true, nil) }
        return (kept, isCutShort, isCutShort ? rest : nil)
    }
}

extension TenantSearchWalk.Hit {
    fileprivate var bytes: Int { message?.textsInJSON ?? 0 }
}

extension [TenantSearchWalk.Hit] {
    /// Of hits in their order, newest first.
    fileprivate func firstIndexNotAbove(_ place: SearchPlace) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].place > place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
