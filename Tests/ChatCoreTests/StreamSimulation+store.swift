import TestSupport

@testable import ChatCore

/// The store in the small world.
extension StreamSimulation {
    mutating func call(_ work: LogOrder.Work, _ reader: Int?) {
        guard !chance(weather.failedStoreCalls) else {
            return plan(.finding(.failure, reader: reader), in: moment(before: .milliseconds(20)))
        }
        let finding: LogOrder.Finding
        switch work {
        case .read(let after):
            let moment = chance(weather.staleReads) ? max(.zero, now - self.moment(before: .milliseconds(700))) : now
            // What is there may be older than what it says.
            let visible = stride(from: after + 1, through: highest, by: 1).lazy.compactMap { [rows] in rows[$0] }
                .filter { $0.since <= moment }
            finding = .rows(withVoids(visible.prefix(limits.page.messages).map(\.entry)))
        case .settle(let numbers):
            // A number that no writer was given must not be used up.
            if numbers.upperBound >= highest { excesses.append("\(numbers) settled") }
            settle(numbers)
            finding = .settled
        }
        plan(.finding(finding, reader: reader), in: moment(before: .milliseconds(20)))
    }

    /// The store may know how many void rows follow a page that ends with one.
    mutating func withVoids(_ page: [LogEntry]) -> [LogEntry] {
        guard let last = page.last, last.message == nil, chance(0.5) else { return page }
        var end = last.number.rawValue
        while let row = rows[end + 1], row.entry.message == nil { end += 1 }
        return end == last.number.rawValue ? page : page + [LogEntry(voids: last.number.rawValue + 1...end)]
    }

    mutating func settle(_ numbers: ClosedRange<Int64>) {
        for number in numbers where rows[number] == nil {
            let entry = LogEntry(number: Message.Number(number), message: nil, createdAt: Self.start.adding(now))
            rows[number] = Row(entry: entry, since: now)
            voids += 1
        }
    }

    mutating func take(_ finding: LogOrder.Finding, _ reader: Int?) {
        guard let reader else {
            isFeedAtWork = false
            feed?.finish(finding, now: now, clock: Self.start.adding(now))
            return feedChanged()
        }
        let messages = readers[reader].catchUp.finish(finding, now: now, clock: Self.start.adding(now))
        receive(reader, messages)
        let position = readers[reader].catchUp.head
        guard !messages.isEmpty || position >= readers[reader].goal else { return plan(.climb(reader: reader)) }
        feed?.move(readers[reader].id, to: position)
        rest(reader)
    }
}
