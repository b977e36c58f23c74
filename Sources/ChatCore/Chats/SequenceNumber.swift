/// A position in a sequence that starts at 1 and ends at 2^63−1.
package protocol SequenceNumber: Comparable {
    var rawValue: Int64 { get }
    init(_ rawValue: Int64)
}

extension SequenceNumber {
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// Reads only decimal ASCII digits: no sign, no space, no digits of other scripts, no leading zero, so that a
    /// number has one spelling.
    ///
    /// - Returns: nil for anything that is not a number from 1 to 2^63−1.
    package init?(digits text: Substring) {
        guard text.utf8.first != UInt8(ascii: "0"), let value = Int64(digits: text) else { return nil }
        self.init(value)
    }
}

extension Int64 {
    /// Reads only decimal ASCII digits, from 0 to 2^63−1.
    package init?(digits text: Substring) {
        guard !text.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in text.utf8 {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let (shifted, carried) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowed) = shifted.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            guard !carried, !overflowed else { return nil }
            value = sum
        }
        self = value
    }
}
