import CMariaDB

/// Converts microseconds since 1970 UTC to the library's calendar fields and back, by the proleptic Gregorian calendar,
/// like the server.
enum MySQLTimestamp {
    private static let microsecondsADay: Int64 = 86_400_000_000
    /// The first microseconds of the years 1 and 10000.
    private static let range: Range<Int64> = -62_135_596_800_000_000..<253_402_300_800_000_000

    /// - Returns: nil outside the range of `DATETIME`.
    static func components(_ microseconds: Int64) -> MYSQL_TIME? {
        guard range.contains(microseconds) else { return nil }
        // Floor division: before 1970 the day is the earlier one.
        var (days, rest) = microseconds.quotientAndRemainder(dividingBy: microsecondsADay)
        if rest < 0 { (days, rest) = (days - 1, rest + microsecondsADay) }

        // Years are counted from March, so that a leap day is a year's last; an era is 400 years.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9

        let seconds = rest / 1_000_000
        var time = MYSQL_TIME()
        time.year = UInt32(yearOfEra + era * 400 + (month <= 2 ? 1 : 0))
        time.month = UInt32(month)
        time.day = UInt32(dayOfYear - (153 * marchMonth + 2) / 5 + 1)
        time.hour = UInt32(seconds / 3600)
        time.minute = UInt32(seconds / 60 % 60)
        time.second = UInt32(seconds % 60)
        time.second_part = UInt(rest % 1_000_000)
        time.time_type = MYSQL_TIMESTAMP_DATETIME
        return time
    }

    /// The inverse of `components`.
    static func microseconds(_ time: MYSQL_TIME) -> Int64 {
        let (month, day) = (Int64(time.month), Int64(time.day))
        let year = Int64(time.year) - (month <= 2 ? 1 : 0)
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        let seconds = Int64(time.hour) * 3600 + Int64(time.minute) * 60 + Int64(time.second)
        return days * microsecondsADay + seconds * 1_000_000 + Int64(time.second_part)
    }
}
