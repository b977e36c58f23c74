import TestSupport

@testable import ChatCore

/// What changes in the small world.
extension StreamSimulation {
    // MARK: Writers

    mutating func edit() {
        let numbers = rows.values.filter { $0.entry.message != nil }.map(\.entry.number.rawValue).sorted()
        // Mostly recent ones, on which messages may be on their way still.
        guard
            let number = chance(0.7)
                ? numbers.suffix(4).randomElement(using: &random) : numbers.randomElement(using: &random),
            let row = rows[number], var message = row.entry.message
        else { return }
        log.append((number, now))
        let isReaction = chance(0.4)
        if isReaction {
            message.reactionsRevision = Int64(log.count)
        } else {
            message.revision = Int64(log.count)
            message.content.body = "edited"
        }
        let entry = LogEntry(message)
        rows[number]?.entry = LogEntry(number: entry.number, message: message, createdAt: row.entry.createdAt)
        if chance(weather.lostPublishes) { return }
        let time = chance(weather.latePublishes) ? moment(before: weather.publishDelay) : .milliseconds(1)
        plan(!isReaction && chance(0.7) ? .publish([message]) : .tell(revision: Int64(log.count)), in: time)
        if !isReaction, chance(weather.repeatedPublishes) { plan(.publish([message]), in: moment(before: .seconds(2))) }
    }

    // MARK: The store

    /// One row for each thing, with its last change.
    private func items(after revision: Int64, asOf moment: Duration) -> [ChangedItem] {
        var last: [Int64: Int64] = [:]
        for (index, change) in log.enumerated() where change.at <= moment { last[change.number] = Int64(index + 1) }
        return last.filter { $0.value > revision }.sorted { $0.value < $1.value }.map {
            ChangedItem(kind: .message, number: $0.key, user: nil, revision: $0.value)
        }
    }

    /// A read may lag behind, but not behind the one before: `wsrep_sync_wait` where reads go to several nodes.
    private mutating func snapshot() -> Duration {
        newestRead = max(newestRead, chance(weather.staleReads) ? now - moment(before: .milliseconds(700)) : now)
        return newestRead
    }

    private func events(of items: some Sequence<ChangedItem>) -> [ChangeEvent] {
        items.compactMap { item in
            rows[item.number]?.entry.message.map { ChangeEvent(revision: item.revision, thing: .message($0)) }
        }
    }

    mutating func changeWork() {
        guard !isReadingChanges, let revision = feed?.startRead(now: now) else { return }
        isReadingChanges = true
        let time = moment(before: .milliseconds(20))
        guard !chance(weather.failedStoreCalls) else { return plan(.changesFound(nil, []), in: time) }
        let found = Array(items(after: revision, asOf: snapshot()).prefix(ChangeWindow.readAtOnce))
        plan(.changesFound(found, events(of: found)), in: time)
    }

    /// As `ChangeWalk` does, with pages of two.
    mutating func walk(_ index: Int, _ start: Cursor, _ goal: Int64) {
        guard !readers[index].hasLeft else { return }
        let time = moment(before: .milliseconds(20))
        guard !chance(weather.failedStoreCalls) else {
            return plan(.walk(reader: index, start: start, goal: goal), in: time)
        }
        let found = items(after: start.revision ?? 0, asOf: snapshot())
        let due = found.prefix { $0.revision <= goal }
        let known = due.filter { $0.number <= start.number }
        let reachesGoal = (found.last?.revision ?? 0) >= goal
        let isCut = known.count > 2
        let page = ChangeWalk.Page(
            events: events(of: known.prefix(2)),
            revision: isCut ? known[1].revision : reachesGoal ? goal : due.last?.revision ?? start.revision ?? 0,
            isWhole: !isCut && found.last?.revision == goal, highest: found.last?.revision ?? 0)
        plan(.walked(reader: index, page), in: time)
    }

    mutating func takeWalked(_ index: Int, _ page: ChangeWalk.Page) {
        guard !readers[index].hasLeft else { return }
        let start = readers[index].position
        let events = feed?.move(readers[index].id, after: start, past: page, in: .all)
        if let events, !events.isEmpty { receive(index, events) }
        rest(index)
    }

    // MARK: Readers

    mutating func receive(_ index: Int, _ messages: [Message]) {
        receive(index, LiveEvents(.messages(messages), after: readers[index].position))
    }

    mutating func receive(_ index: Int, _ events: LiveEvents) {
        for place in 0..<events.count {
            let (event, cursor) = events.event(at: place)
            let before = readers[index].position
            if cursor.number < before.number || cursor.revision ?? 0 < before.revision ?? 0
                || (cursor.revision == nil) != (readers[index].firstRevision == nil)
            {
                excesses.append("\(before) fell to \(cursor)")
            }
            readers[index].position = cursor
            switch event {
            case .message(let message):
                readers[index].received.append(message.number.rawValue)
                readers[index].hold(message)
            case .change(let change, let base):
                delivered += 1
                guard case .message(let message) = change.thing else { continue }
                let number = message.number.rawValue
                if number > readers[index].cursor, readers[index].held[number] == nil {
                    excesses.append("\(number) changed before it came")
                }
                readers[index].hold(message, since: base)
            case .signal: excesses.append("a signal")
            }
        }
    }

    /// What a reader of changes does not have as it is.
    func missing(for reader: Reader) -> [Int64] {
        guard let first = reader.firstRevision else { return [] }
        return rows.values.compactMap(\.entry.message).filter { message in
            let number = message.number.rawValue
            let held = reader.held[number]
            if number > reader.cursor {
                return held != StreamSimulation.Parts(content: message.revision, reactions: message.reactionsRevision)
            }
            return message.revision > first && held?.content != message.revision
                || message.reactionsRevision > first && held?.reactions != message.reactionsRevision
        }.map(\.number.rawValue).sorted()
    }
}

extension StreamSimulation.Reader {
    /// - Parameter base: only the parts above it were told; nil: all of them.
    mutating func hold(_ message: Message, since base: Int64? = nil) {
        let number = message.number.rawValue
        var parts = held[number] ?? StreamSimulation.Parts()
        if message.revision > base ?? -1 { parts.content = max(parts.content, message.revision) }
        if message.reactionsRevision > base ?? -1 { parts.reactions = max(parts.reactions, message.reactionsRevision) }
        held[number] = parts
    }
}
