import ChatCore

/// The value of `Date` (RFC 9110, 5.6.7), formatted once a second. It belongs to one event loop.
final class DateHeader {
    private var second: Int64 = .min
    private var text = ""

    var value: String {
        // A clock that is set before 1970 has no weekday here.
        let now = max(0, WallClock.system.now().microseconds / 1_000_000)
        if now != second {
            second = now
            text = Self.text(secondsSince1970: now)
        }
        return text
    }

    static func text(secondsSince1970 seconds: Int64) -> String {
        let (days, time) = (seconds / 86_400, seconds % 86_400)
        let (year, month, day) = Timestamp.civilDate(daysSince1970: days)
        // 1 January 1970 was a Thursday.
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][Int(days % 7)]
        let name = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ][Int(month - 1)]
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(weekday), \(two(day)) \(name) \(year) "
            + "\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }
}

@available(*, unavailable)
extension DateHeader: Sendable {}
