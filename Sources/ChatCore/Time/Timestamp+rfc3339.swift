extension Timestamp {
    /// Reads RFC 3339, with any offset and any number of decimals; those beyond microseconds are cut. A leap second
    /// counts as the second after it.
    ///
    /// - Returns: nil for anything else.
    package init?(rfc3339 text: String) {
        var reader = DigitReader(rest: text.utf8[...])
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
            let day = reader.number(2), reader.skip("Tt"), let hour = reader.number(2), reader.skip(":"),
            let minute = reader.number(2), reader.skip(":"), let second = reader.number(2),
            let microsecond = reader.fraction(), let offset = reader.offset(), reader.rest.isEmpty,
            (1...12).contains(month), hour < 24, minute < 60, second <= 60
        else { return nil }
        let days = Self.days(year, month, day)
        // A day that the month lacks comes out as one of the next month.
        guard Self.civilDate(daysSince1970: days) == (year, month, day) else { return nil }
        let seconds = (days * 24 + hour) * 3600 + (minute - offset) * 60 + second
        self.init(microseconds: seconds * 1_000_000 + microsecond)
    }

    /// Days since 1970, by Howard Hinnant's `days_from_civil`, for the years 0 to 9999.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        // Years that begin in March, counted from 400 before 0, so that nothing is negative.
        let shifted = year + 400 - (month <= 2 ? 1 : 0)
        let (era, yearOfEra) = shifted.quotientAndRemainder(dividingBy: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return (era - 1) * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

private struct DigitReader {
    var rest: Substring.UTF8View

    mutating func number(_ width: Int) -> Int64? {
        guard rest.count >= width, let value = Int64(digits: Substring(rest.prefix(width))) else { return nil }
        rest = rest.dropFirst(width)
        return value
    }

    /// Skips one of these characters.
    mutating func skip(_ characters: StaticString) -> Bool {
        guard let next = rest.first, characters.withUTF8Buffer({ $0.contains(next) }) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// The decimals of a second, in microseconds; 0 if there are none.
    mutating func fraction() -> Int64? {
        guard skip(".") else { return 0 }
        var (microseconds, unit) = (Int64(0), Int64(100_000))
        guard let first = rest.first, first.isDigit else { return nil }
        while let digit = rest.first, digit.isDigit {
            microseconds += Int64(digit - UInt8(ascii: "0")) * unit
            unit /= 10
            rest = rest.dropFirst()
        }
        return microseconds
    }

    /// In minutes.
    mutating func offset() -> Int64? {
        if skip("Zz") { return 0 }
        let isNegative = rest.first == UInt8(ascii: "-")
        guard skip("+-"), let hours = number(2), skip(":"), let minutes = number(2), hours < 24, minutes < 60 else {
            return nil
        }
        return (hours * 60 + minutes) * (isNegative ? -1 : 1)
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}
