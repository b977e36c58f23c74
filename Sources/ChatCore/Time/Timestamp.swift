/// A moment in UTC, in whole microseconds since 1970: what the tables hold.
///
/// An integer, because a floating-point date prints `.193` for a stored `.194`.
package struct Timestamp: Hashable, Comparable, Sendable {
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    package func adding(_ duration: Duration) -> Timestamp {
        let (seconds, attoseconds) = duration.components
        return Timestamp(microseconds: microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    /// Microseconds since 1970 that RFC 3339 can write: the years 0 to 9999.
    package static let years0To9999: ClosedRange<Int64> = -62_167_219_200_000_000...253_402_300_799_999_999

    /// RFC 3339 with milliseconds (cut, not rounded) and `Z`: `2026-11-22T16:57:44.194Z`.
    package var rfc3339: String {
        String(unsafeUninitializedCapacity: Self.rfc3339Length) { buffer in
            writeRFC3339(to: buffer)
            return Self.rfc3339Length
        }
    }

    package static let rfc3339Length = 24

    /// - Parameter buffer: takes `rfc3339Length` bytes.
    package func writeRFC3339(to buffer: UnsafeMutableBufferPointer<UInt8>) {
        let (days, microsecondOfDay) = min(
            max(microseconds, Self.years0To9999.lowerBound), Self.years0To9999.upperBound
        )
        .flooredDivision(by: 86_400_000_000)
        let (year, month, day) = Self.civilDate(daysSince1970: days)
        let milliseconds = microsecondOfDay / 1000
        var end = 0
        func write(_ value: Int64, _ width: Int, _ mark: UInt8) {
            var value = value
            for index in stride(from: end + width - 1, through: end, by: -1) {
                buffer[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10)
                value /= 10
            }
            buffer[end + width] = mark
            end += width + 1
        }
        write(year, 4, UInt8(ascii: "-"))
        write(month, 2, UInt8(ascii: "-"))
        write(day, 2, UInt8(ascii: "T"))
        write(milliseconds / 3_600_000, 2, UInt8(ascii: ":"))
        write(milliseconds / 60_000 % 60, 2, UInt8(ascii: ":"))
        write(milliseconds / 1000 % 60, 2, UInt8(ascii: "."))
        write(milliseconds % 1000, 3, UInt8(ascii: "Z"))
    }

    /// The proleptic Gregorian date, by Howard Hinnant's `civil_from_days`
    /// (https://howardhinnant.github.io/date_algorithms.html). Right for the years 0 to 9999.
    package static func civilDate(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
