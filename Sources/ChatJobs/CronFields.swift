import ChatCore

/// The five fields as sets of numbers, bit n for n. Minutes are local and counted from 1970; time zones are not handled
/// here.
struct CronFields: Sendable, Equatable {
    let minutes: UInt64
    let hours: UInt64
    /// Nil: any.
    let days: UInt64?
    /// `L`: the last day of a month.
    let lastDay: Bool
    let months: UInt64
    /// 0 is Sunday. Nil: any.
    let weekdays: UInt64?
    /// Whether there is a `*` in the minutes or hours.
    let isRealTime: Bool

    /// Whether any month has one of the days. fugit requires it even if days of the week are given too.
    var isPossible: Bool {
        if days == nil || lastDay { return true }
        return (1...12).contains { month in
            months.has(Int64(month)) && (1...CronDay.longest(month)).contains { days?.has($0) ?? true }
        }
    }

    /// The first matching minute.
    func first(from minute: Int64, through last: Int64) -> Int64? {
        var day = CronDay(number: minute.floored(by: 1440))
        var start = minute - day.number * 1440
        while day.number * 1440 + start <= last {
            if !months.has(day.month) {
                day = day.startOfNextMonth
            } else if fits(day), let minute = timeOfDay(atOrAfter: start) {
                let found = day.number * 1440 + minute
                return found <= last ? found : nil
            } else {
                day = day.next
            }
            start = 0
        }
        return nil
    }

    /// The last matching minute, searching backwards.
    func last(from minute: Int64, through first: Int64) -> Int64? {
        var day = CronDay(number: minute.floored(by: 1440))
        var start = minute - day.number * 1440
        while day.number * 1440 + start >= first {
            if !months.has(day.month) {
                day = day.endOfPreviousMonth
            } else if fits(day), let minute = timeOfDay(atOrBefore: start) {
                let found = day.number * 1440 + minute
                return found >= first ? found : nil
            } else {
                day = day.previous
            }
            start = 1439
        }
        return nil
    }

    private func fits(_ day: CronDay) -> Bool {
        guard months.has(day.month) else { return false }
        let isDay = days.map { $0.has(day.day) || lastDay && day.day == day.lengthOfMonth }
        let isWeekday = weekdays.map { $0.has(day.weekday) }
        return switch (isDay, isWeekday) {
        case (nil, nil): true
        case (let one?, nil), (nil, let one?): one
        case (let one?, let other?): one || other
        }
    }

    private func timeOfDay(atOrAfter start: Int64) -> Int64? {
        let (hour, minute) = (start / 60, start % 60)
        if hours.has(hour), let minute = minutes.first(from: minute) { return hour * 60 + minute }
        guard let hour = hours.first(from: hour + 1), let minute = minutes.first(from: 0) else { return nil }
        return hour * 60 + minute
    }

    private func timeOfDay(atOrBefore start: Int64) -> Int64? {
        let (hour, minute) = (start / 60, start % 60)
        if hours.has(hour), let minute = minutes.last(from: minute) { return hour * 60 + minute }
        guard let hour = hours.last(from: hour - 1), let minute = minutes.last(from: 59) else { return nil }
        return hour * 60 + minute
    }
}

/// A calendar day.
struct CronDay {
    /// Days since 1970.
    let number: Int64
    let year: Int64
    let month: Int64
    let day: Int64

    init(number: Int64) {
        self.number = number
        (year, month, day) = Timestamp.civilDate(daysSince1970: number)
    }

    /// 0 is Sunday; 1970 began on a Thursday.
    var weekday: Int64 { number + 4 - (number + 4).floored(by: 7) * 7 }

    var lengthOfMonth: Int64 {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 && !isLeap ? 28 : Self.longest(Int(month))
    }

    var next: CronDay { CronDay(number: number + 1) }
    var previous: CronDay { CronDay(number: number - 1) }
    var startOfNextMonth: CronDay { CronDay(number: number + lengthOfMonth - day + 1) }
    var endOfPreviousMonth: CronDay { CronDay(number: number - day) }

    /// The length of a month, in a leap year.
    static func longest(_ month: Int) -> Int64 {
        switch month {
        case 2: 29
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension UInt64 {
    fileprivate func has(_ number: Int64) -> Bool { self >> UInt64(number) & 1 == 1 }

    /// The smallest number in the set from `start` up.
    fileprivate func first(from start: Int64) -> Int64? {
        let rest = start > 63 ? 0 : self >> UInt64(start)
        return rest == 0 ? nil : start + Int64(rest.trailingZeroBitCount)
    }

    /// The largest number in the set up to `start`.
    fileprivate func last(from start: Int64) -> Int64? {
        let rest = start < 0 ? 0 : self << UInt64(63 - start)
        return rest == 0 ? nil : start - Int64(rest.leadingZeroBitCount)
    }
}
