import Foundation
import Testing

@testable import ChatHTTP

@Suite struct DateHeaderTests {
    /// RFC 9110, 5.6.7, and days on which calendars are wrong.
    @Test(arguments: [
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ])
    func dates(_ seconds: Int64, _ text: String) { #expect(DateHeader.text(secondsSince1970: seconds) == text) }

    @Test func everyDayOfManyYears() {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        for seconds in stride(from: 0, to: Int64(4_200_000_000), by: 86_400 * 13 + 3607) {
            let date = Date(timeIntervalSince1970: TimeInterval(seconds))
            #expect(DateHeader.text(secondsSince1970: seconds) == formatter.string(from: date))
        }
    }
}
