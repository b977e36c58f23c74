package import ChatCore

/// A schedule with a resolution of a minute: `*/5 * * * *`, `0 3 * * mon Europe/Berlin`, `@hourly`.
///
/// Five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday); then a time zone unless it
/// is UTC. If both days are restricted, either is enough (crontab(5)). It is parsed like fugit does, so that a Ruby
/// scheduler on the same Redis finds the same ticks; expressions that fugit parses in a surprising way are refused.
///
/// When the clocks change, as in Debian's cron(8):
/// - With a `*` in the minutes or the hours it runs in real time: at each matching minute, twice if the clock shows it
///   twice, and not if it is skipped. So does fugit.
/// - Otherwise it is a time of day. Skipped times run once, at the first moment after the gap; a repeated time runs the
///   first time only. (fugit omits the former and runs the latter twice.)
package struct CronExpression: Sendable, Equatable {
    /// Why a text is not an expression, in one sentence.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    let fields: CronFields
    let zone: CronZone
    /// The five fields and the zone in a form that all versions of sidekiq-cron accept, without newer aliases.
    package let text: String

    /// The first tick after a moment; nil if there is none within twelve years, which happens only for times that the
    /// clock never shows.
    package func next(after time: Timestamp) -> Timestamp? {
        let time = time.wholeSeconds
        // When the clock is set back, local time repeats: look at no earlier minute.
        let start = time + min(zone.offset(at: time), zone.offset(at: time + CronZone.longestChange))
        var minute = start.floored(by: 60)
        let horizon = minute + Self.horizon
        var repeated: Int64?
        while let found = fields.first(from: minute, through: horizon) {
            switch zone.occurrence(ofLocal: found * 60) {
            case .once(let second) where second > time:
                return Timestamp(wholeSeconds: min(second, repeated ?? second))
            case .twice(let first, _) where first > time:
                return Timestamp(wholeSeconds: min(first, repeated ?? first))
            case .twice(_, let second) where second > time && fields.isRealTime:
                repeated = repeated ?? second
            case .skipped(let end) where end > time && !fields.isRealTime:
                return Timestamp(wholeSeconds: end)
            default: break
            }
            minute = found + 1
        }
        return repeated.map { Timestamp(wholeSeconds: $0) }
    }

    /// The last tick up to a moment; nil as for `next`.
    package func previous(atOrBefore time: Timestamp) -> Timestamp? {
        let time = time.wholeSeconds
        let start = time + max(zone.offset(at: time), zone.offset(at: time - CronZone.longestChange))
        var minute = start.floored(by: 60)
        let horizon = minute - Self.horizon
        // These minutes are from the first pass of a clock that is set back; the second pass may have later ones.
        var firstPass: Int64?
        while let found = fields.last(from: minute, through: horizon) {
            switch zone.occurrence(ofLocal: found * 60) {
            case .once(let second) where second <= time:
                return Timestamp(wholeSeconds: max(second, firstPass ?? second))
            case .twice(_, let second) where second <= time && fields.isRealTime:
                return Timestamp(wholeSeconds: max(second, firstPass ?? second))
            case .twice(let first, _) where first <= time:
                if !fields.isRealTime { return Timestamp(wholeSeconds: first) }
                firstPass = firstPass ?? first
            case .skipped(let end) where end <= time && !fields.isRealTime:
                return Timestamp(wholeSeconds: end)
            default: break
            }
            minute = found - 1
        }
        return firstPass.map { Timestamp(wholeSeconds: $0) }
    }

    /// In minutes: 29 February may be eight years away.
    private static let horizon: Int64 = 12 * 366 * 1440
}

extension Timestamp {
    /// Whole seconds since 1970, rounded down.
    var wholeSeconds: Int64 { microseconds.floored(by: 1_000_000) }

    init(wholeSeconds seconds: Int64) { self.init(microseconds: seconds * 1_000_000) }
}

extension Int64 {
    /// The quotient, rounded down.
    func floored(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
