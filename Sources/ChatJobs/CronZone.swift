import Foundation

/// The local time of a time zone. Times are in seconds since 1970; local ones as if they were UTC.
struct CronZone: Sendable, Equatable {
    /// How often, and when, the clock shows a local time.
    enum Occurrence: Equatable {
        case once(Int64)
        case twice(first: Int64, second: Int64)
        /// Never, because the clock was set forward over it; with the moment of the change.
        case skipped(until: Int64)
    }

    /// In seconds, with a margin: Samoa skipped a whole day in 2011.
    static let longestChange: Int64 = 25 * 3600

    static let utc = CronZone()

    /// The IANA name; empty for UTC.
    let name: String
    private let zone: TimeZone?

    private init() {
        name = ""
        zone = nil
    }

    /// Nil for an unknown name.
    init?(_ name: String) {
        if name == "UTC" || name == "Etc/UTC" {
            self = .utc
            return
        }
        // The names that fugit accepts; a zone other than UTC always has one.
        let isName = name.wholeMatch(of: /[A-Z][A-Za-z0-9+-]+(\/[A-Z][A-Za-z0-9+_-]*){0,2}/) != nil
        guard isName, let zone = TimeZone(identifier: name) else { return nil }
        self.name = name
        self.zone = zone
    }

    /// How far local time is ahead of UTC, in seconds.
    func offset(at second: Int64) -> Int64 {
        guard let zone else { return 0 }
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(second))))
    }

    func occurrence(ofLocal local: Int64) -> Occurrence {
        guard zone != nil else { return .once(local) }
        // No offset reaches 16 hours, so the moments are between these two; no zone changes its clock twice within that
        // time.
        let (start, end) = (local - 16 * 3600, local + 16 * 3600)
        let (before, after) = (offset(at: start), offset(at: end))
        if before == after { return .once(local - before) }
        let isOld = offset(at: local - before) == before
        let isNew = offset(at: local - after) == after
        return switch (isOld, isNew) {
        case (true, true): .twice(first: local - before, second: local - after)
        case (true, false): .once(local - before)
        case (false, true): .once(local - after)
        case (false, false): .skipped(until: firstMoment(of: after, after: start, through: end))
        }
    }

    private func firstMoment(of offset: Int64, after start: Int64, through end: Int64) -> Int64 {
        var (old, new) = (start, end)
        while new - old > 1 {
            let middle = old + (new - old) / 2
            if self.offset(at: middle) == offset { new = middle } else { old = middle }
        }
        return new
    }
}
