import ChatCore
import ChatJobs
import Foundation
import TestSupport
import Testing

/// Compared with a minute-by-minute search that uses only the wall clock.
@Suite(.timeLimit(.minutes(5))) struct CronPropertyTests {
    /// Days around which the clocks change, or months and years do.
    static let places = [
        ("UTC", "2028-02-29T00:00:00Z"), ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"), ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"), ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Africa/Cairo", "2026-04-23T22:00:00Z"), ("Africa/Cairo", "2026-10-29T21:00:00Z"),
        ("America/Santiago", "2026-09-06T04:00:00Z"), ("America/Santiago", "2026-04-05T03:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"), ("Asia/Kathmandu", "2026-12-31T18:15:00Z"),
        ("Pacific/Chatham", "2026-04-04T14:00:00Z"),
    ]

    @Test(arguments: places) func nextAndPreviousAreTheNearest(_ name: String, _ around: String) throws {
        let zone = try #require(TimeZone(identifier: name))
        let center = Int64(try Timestamp(utc: around).microseconds / 60_000_000)
        // Three days each way: longer than any change of the clocks reaches.
        let clock = WatchedClock(zone: zone, minutes: center - 4320...center + 4320)
        var random = SeededRandom(seed: UInt64(center))
        for _ in 0..<60 {
            let text = CronPropertyTests.expression(using: &random)
            let expression = try CronExpression("\(text) \(name)")
            let ticks = clock.ticks(of: text)
            for _ in 0..<40 {
                let minute = Int64.random(in: center - 2000...center + 2000, using: &random)
                let seconds = Int64.random(in: 0..<60, using: &random)
                let time = Timestamp(microseconds: (minute * 60 + seconds) * 1_000_000)
                if let next = ticks.first(where: { $0 * 60_000_000 > time.microseconds }) {
                    #expect(
                        expression.next(after: time)?.microseconds == next * 60_000_000, "\(text) after \(time.rfc3339)"
                    )
                }
                if let last = ticks.last(where: { $0 * 60_000_000 <= time.microseconds }) {
                    #expect(
                        expression.previous(atOrBefore: time)?.microseconds == last * 60_000_000,
                        "\(text) before \(time.rfc3339)")
                }
            }
        }
    }

    /// Mostly such that has ticks within a few days, and near the changes.
    private static func expression(using random: inout SeededRandom) -> String {
        func field(_ numbers: ClosedRange<Int>, stars: Int) -> String {
            if Int.random(in: 0..<10, using: &random) < stars { return "*" }
            let one = Int.random(in: numbers, using: &random)
            let other = Int.random(in: numbers, using: &random)
            return switch Int.random(in: 0..<4, using: &random) {
            case 0: "\(one)"
            case 1: "\(one),\(other)"
            case 2: "\(one)-\(other)/\(Int.random(in: 1...3, using: &random))"
            default: "*/\(Int.random(in: 2...numbers.count / 2, using: &random))"
            }
        }
        let hours = Bool.random(using: &random) ? 0...3 : 0...23
        return [
            field(0...59, stars: 2), field(hours, stars: 3), field(1...31, stars: 8), field(1...12, stars: 10),
            field(0...6, stars: 8),
        ].joined(separator: " ")
    }
}

/// What a clock on the wall shows, each minute of some days.
private struct WatchedClock {
    let shown: [(minute: Int64, local: Int64)]
    private let days: [Int64: DateComponents]

    init(zone: TimeZone, minutes: ClosedRange<Int64>) {
        shown = minutes.map { minute in
            let offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(minute * 60)))
            return (minute, minute + Int64(offset / 60))
        }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let numbers = minutes.lowerBound / 1440 - 2...minutes.upperBound / 1440 + 2
        days = Dictionary(
            uniqueKeysWithValues: numbers.map { number in
                let date = Date(timeIntervalSince1970: Double(number * 86_400))
                return (number, calendar.dateComponents([.day, .month, .weekday], from: date))
            })
    }

    func ticks(of text: String) -> [Int64] {
        let fields = text.split(separator: " ").map(String.init)
        let ranges = [0...59, 0...23, 1...31, 1...12, 0...6]
        let sets = zip(fields, ranges).map { Self.numbers($0, $1) }
        let areBothDaysRestricted = fields[2] != "*" && fields[4] != "*"
        let isRealTime = fields[0].hasPrefix("*") || fields[1].hasPrefix("*")
        func fits(_ local: Int64) -> Bool {
            guard let day = days[local / 1440], let number = day.day, let month = day.month, let weekday = day.weekday
            else { return false }
            let (isDay, isWeekday) = (sets[2].contains(number), sets[4].contains(weekday - 1))
            return sets[0].contains(Int(local % 60)) && sets[1].contains(Int(local % 1440 / 60))
                && sets[3].contains(month) && (areBothDaysRestricted ? isDay || isWeekday : isDay && isWeekday)
        }
        var latest: Int64?
        return shown.compactMap { minute, local in
            defer { latest = max(local, latest ?? local) }
            if isRealTime { return fits(local) ? minute : nil }
            // With what the clock has just left out; not what it has shown before.
            let last = latest ?? local - 1
            return local > last && (last + 1...local).contains(where: fits) ? minute : nil
        }
    }

    private static func numbers(_ field: String, _ range: ClosedRange<Int>) -> Set<Int> {
        var numbers: Set<Int> = []
        for element in field.split(separator: ",") {
            let parts = element.split(separator: "/")
            let step = parts.count == 2 ? Int(parts[1]) ?? 1 : 1
            let bounds = parts[0].split(separator: "-").compactMap { Int($0) }
            var current = bounds.first ?? range.lowerBound
            for index in 0..<range.count {
                if index % step == 0 { numbers.insert(current) }
                if current == bounds.last ?? range.upperBound { break }
                current = current == range.upperBound ? range.lowerBound : current + 1
            }
        }
        return numbers
    }
}
