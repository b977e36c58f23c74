import ChatCore

/// Times and periods as people write and read them on a command line.
enum Moment {
    /// - Parameter text: a number and `s`, `m`, `h` or `d`: `90s`, `5m`.
    /// - Returns: nil for anything else.
    static func period(_ text: String) -> Duration? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), text.dropLast().allSatisfy({ ("0"..."9").contains($0) }),
            let count = Int64(text.dropLast()), count <= 100 * 365 * 86_400 / unit
        else { return nil }
        return .seconds(count * unit)
    }

    /// In its largest unit: `0 s`, `12 s`, `3 min`, `5 h`, `2 d`.
    static func shown(_ period: Duration) -> String {
        let seconds = max(0, period.components.seconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86_400) d"
        }
    }
}

extension Timestamp {
    static func - (later: Timestamp, earlier: Timestamp) -> Duration {
        .microseconds(later.microseconds - earlier.microseconds)
    }
}
