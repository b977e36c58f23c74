import ChatCore
import ChatJobs
import Foundation
import Testing

@Suite(.timeLimit(.minutes(2))) struct CronExpressionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let expression: String
        let after: String
        let ticks: [String]
        var testDescription: String { "\(expression) after \(after)" }

        init(_ expression: String, after: String, _ ticks: String...) {
            self.expression = expression
            self.after = after
            self.ticks = ticks
        }
    }

    @Test(arguments: [
        Case("* * * * *", after: "2026-11-23T01:59:59Z", "2026-11-23T02:00:00Z", "2026-11-23T02:01:00Z"),
        Case("*/5 * * * *", after: "2026-12-31T23:55:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:05:00Z"),
        Case(
            "10-30/10,59 4 * * *", after: "2026-11-23T04:15:00Z", "2026-11-23T04:20:00Z", "2026-11-23T04:30:00Z",
            "2026-11-23T04:59:00Z", "2026-11-24T04:10:00Z"),
        Case(
            "0 22-2/2 * * *", after: "2026-11-23T12:00:00Z", "2026-11-23T22:00:00Z", "2026-11-24T00:00:00Z",
            "2026-11-24T02:00:00Z", "2026-11-24T22:00:00Z"),
        Case(
            "45-15/10 7 * * *", after: "2026-11-23T07:00:00Z", "2026-11-23T07:05:00Z", "2026-11-23T07:15:00Z",
            "2026-11-23T07:45:00Z", "2026-11-23T07:55:00Z"),
        Case(
            "0 0 * jan,MAR fri-mon", after: "2026-01-02T12:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z",
            "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z"),
        Case("0 0 * nov-feb 7", after: "2026-02-22T12:00:00Z", "2026-11-01T00:00:00Z"),
        Case(
            "0 0 * * 5-7", after: "2026-11-23T12:00:00Z", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z",
            "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"),
        // Both days restricted: either.
        Case(
            "0 6 13 * fri", after: "2026-11-12T00:00:00Z", "2026-11-13T06:00:00Z", "2026-11-20T06:00:00Z",
            "2026-11-27T06:00:00Z", "2026-12-04T06:00:00Z", "2026-12-11T06:00:00Z", "2026-12-13T06:00:00Z"),
        Case("0 6 ? * fri", after: "2026-11-12T00:00:00Z", "2026-11-13T06:00:00Z", "2026-11-20T06:00:00Z"),
        Case("0 6 13 * ?", after: "2026-11-12T00:00:00Z", "2026-11-13T06:00:00Z", "2026-12-13T06:00:00Z"),
        Case("0 6 */1 * 1", after: "2026-11-23T12:00:00Z", "2026-11-30T06:00:00Z"),
        // Lengths of months and years.
        Case("0 0 31 * *", after: "2026-03-31T12:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z"),
        Case("0 0 L * *", after: "2028-01-31T12:00:00Z", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"),
        Case("0 0 1,last 2 *", after: "2026-02-01T12:00:00Z", "2026-02-28T00:00:00Z", "2027-02-01T00:00:00Z"),
        Case("0 0 29 2 *", after: "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"),
        Case("59 23 29 feb *", after: "2096-03-01T00:00:00Z", "2104-02-29T23:59:00Z"),
        Case("0 0 29 2 *", after: "1996-03-01T00:00:00Z", "2000-02-29T00:00:00Z"),
        // Aliases and periods.
        Case("@yearly", after: "2026-11-23T01:00:00Z", "2027-01-01T00:00:00Z"),
        Case("@annually", after: "2026-11-23T01:00:00Z", "2027-01-01T00:00:00Z"),
        Case("@monthly", after: "2026-11-23T01:00:00Z", "2026-12-01T00:00:00Z"),
        Case("@weekly", after: "2026-11-23T01:00:00Z", "2026-11-29T00:00:00Z"),
        Case("@daily", after: "2026-11-23T01:00:00Z", "2026-11-24T00:00:00Z"),
        Case("@midnight", after: "2026-11-23T01:00:00Z", "2026-11-24T00:00:00Z"),
        Case("@noon", after: "2026-11-23T01:00:00Z", "2026-11-23T12:00:00Z"),
        Case("@hourly", after: "2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"),
        Case("@minutely", after: "2026-11-23T01:00:00Z", "2026-11-23T01:01:00Z"),
        Case("@every 15m", after: "2026-11-23T01:00:00Z", "2026-11-23T01:15:00Z"),
        Case("every 5 minutes", after: "2026-11-23T01:00:00Z", "2026-11-23T01:05:00Z"),
        Case("every hour", after: "2026-11-23T01:00:00Z", "2026-11-23T02:00:00Z"),
        Case("@every 6h Europe/Berlin", after: "2026-11-23T01:00:00Z", "2026-11-23T05:00:00Z"),
        Case("every 1 day", after: "2026-11-23T01:00:00Z", "2026-11-24T00:00:00Z"),
        Case("@daily Asia/Kathmandu", after: "2026-11-23T01:00:00Z", "2026-11-23T18:15:00Z"),
        Case("  0   9 * * *\tAmerica/New_York ", after: "2026-11-23T01:00:00Z", "2026-11-23T14:00:00Z"),
    ]) func ticks(_ wanted: Case) throws {
        try check(wanted)
    }

    @Test(arguments: [
        // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC. A time that is skipped runs after the gap, once.
        Case("30 2 * * * Europe/Berlin", after: "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
        Case(
            "0,15,30 2 * * * Europe/Berlin", after: "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z",
            "2026-03-30T00:00:00Z"),
        Case(
            "0 2,3 * * * Europe/Berlin", after: "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"),
        Case(
            "30 2 29 3 * Europe/Berlin", after: "2026-03-01T00:00:00Z", "2026-03-29T01:00:00Z", "2027-03-29T00:30:00Z"),
        Case("* 2 * * * Europe/Berlin", after: "2026-03-28T01:59:00Z", "2026-03-30T00:00:00Z"),
        Case(
            "*/20 * * * * Europe/Berlin", after: "2026-03-29T00:30:00Z", "2026-03-29T00:40:00Z", "2026-03-29T01:00:00Z"),
        Case("0 */2 * * * Europe/Berlin", after: "2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z"),
        // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC. A time that comes twice runs at the first.
        Case("30 2 * * * Europe/Berlin", after: "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        Case("30 2 * * * Europe/Berlin", after: "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"),
        Case(
            "0,50 2 * * * Europe/Berlin", after: "2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z", "2026-10-26T01:00:00Z"),
        Case(
            "30 * * * * Europe/Berlin", after: "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z",
            "2026-10-25T02:30:00Z"),
        Case(
            "*/30 2 * * * Europe/Berlin", after: "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z", "2026-10-26T01:00:00Z"),
        // New York: 8 March and 1 November 2026.
        Case(
            "15 2 * * * America/New_York", after: "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"
        ),
        Case(
            "15 1 * * * America/New_York", after: "2026-11-01T00:00:00Z", "2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z"
        ),
        // Lord Howe changes by half an hour: 4 October 2026 at 02:00, and back on 5 April 2026 at 02:00 to 01:30.
        Case(
            "15 2 * * * Australia/Lord_Howe", after: "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z",
            "2026-10-04T15:15:00Z"),
        Case(
            "45 1 * * * Australia/Lord_Howe", after: "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z",
            "2026-04-05T15:15:00Z"),
        Case(
            "45 * * * * Australia/Lord_Howe", after: "2026-04-04T14:00:00Z", "2026-04-04T14:45:00Z",
            "2026-04-04T15:15:00Z",
            "2026-04-04T16:15:00Z"),
        // In Cairo midnight itself is skipped, on 24 April 2026.
        Case("0 0 * * fri Africa/Cairo", after: "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-30T21:00:00Z"),
        // Samoa left out 30 December 2011.
        Case(
            "0 12 * * * Pacific/Apia", after: "2011-12-29T12:00:00Z", "2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z",
            "2011-12-30T22:00:00Z"),
    ]) func ticksWhenTheClocksChange(_ wanted: Case) throws {
        try check(wanted)
    }

    private func check(_ wanted: Case) throws {
        let expression = try CronExpression(wanted.expression)
        var time = try Timestamp(utc: wanted.after)
        for tick in wanted.ticks {
            let next = try #require(expression.next(after: time))
            #expect(next == (try Timestamp(utc: tick)), "\(next.rfc3339) instead of \(tick)")
            // And back: from the tick, and from just before the next.
            #expect(expression.previous(atOrBefore: next) == next)
            let following = try #require(expression.next(after: next))
            #expect(expression.previous(atOrBefore: following.adding(.microseconds(-1))) == next)
            time = next
        }
    }

    @Test func theLastTickIsLookedForFarBack() throws {
        let leap = try CronExpression("0 0 29 2 *")
        #expect(
            leap.previous(atOrBefore: try Timestamp(utc: "2104-02-28T23:59:59Z"))
                == (try Timestamp(utc: "2096-02-29T00:00:00Z")))
        let beforeGap = try CronExpression("30 2 * * * Europe/Berlin")
        #expect(
            beforeGap.previous(atOrBefore: try Timestamp(utc: "2026-03-29T00:59:59Z"))
                == (try Timestamp(utc: "2026-03-28T01:30:00Z")))
    }

    @Test(arguments: [
        ("", "it is empty"), ("* * * *", "it has 4 of the five fields"),
        ("0 0 30 2 *", "no month of it has such a day"),
        ("0 0 31 feb,apr,6,9,11 *", "no month of it has such a day"), ("0 0 30 2 mon", "no month of it has such a day"),
        ("60 * * * *", "“60” is not a valid minute (0-59"),
        ("* 24 * * *", "“24” is not a valid hour (0-23"), ("* * 0 * *", "“0” is not a valid day of the month (1-31"),
        ("* * * 13 *", "“13” is not a valid month (1-12 or jan-dec"),
        ("* * * * 8", "“8” is not a valid day of the week (0-7 or sun-sat"),
        ("* * * * monday", "“monday” is not a valid day of the week"),
        ("1-2-3 * * * *", "“1-2-3” is not a valid minute"),
        ("1,,2 * * * *", "“” is not a valid minute"), ("*/0 * * * *", "the step in “*/0” must be from 1 to 59"),
        ("*/60 * * * *", "must be from 1 to 59"), ("5/15 * * * *", "has a step but no range: write 5-59/15"),
        ("*/5/5 * * * *", "“*/5/5” is not a valid minute"), ("-5 * * * *", "is not a valid minute"),
        ("+5 * * * *", "is not a valid minute"),
        ("٣ * * * *", "is not a valid minute"), ("? * * * *", "is not a valid minute"),
        ("L * * * *", "is not a valid minute"),
        ("* * L-3 * *", "is not a valid day of the month"), ("0 0 * * sun#2", "is not a valid day of the week"),
        ("@reboot", "“@reboot” is none of @annually, @daily"),
        ("@daily Europe/Berlln", "“Europe/Berlln” is not a known time zone"),
        ("0 0 0 * * *", "“*” is not a known time zone (such as Europe/Berlin), and there are no seconds"),
        ("0 0 * * * Europe/Berlin now", "it has 7 of the five fields"), ("@every 7m", "a period must divide an hour"),
        ("@every 90m", "a period must divide"), ("every 25 hours", "a period must divide"),
        ("every", "it does not say how often"),
        ("every 0 minutes", "“0” is not a period"), ("@every 30s", "“30s” is not a period"),
        ("every 99999999999999999999 minutes", "is not a period"), ("every fortnight", "“fortnight” is not a period"),
        (String(repeating: "1,", count: 600) + "1 * * * *", "it is longer than 1000 bytes"),
    ]) func refusals(_ text: String, _ reason: String) throws {
        let error = #expect(throws: CronExpression.Invalid.self) { try CronExpression(text) }
        let sentence = try #require(error?.description)
        #expect(sentence.contains(reason))
        #expect(sentence.hasPrefix("The cron expression “") && sentence.hasSuffix("."))
        #expect(sentence.utf8.count < 400)
    }

    @Test(arguments: [
        ("@daily Europe/Berlin", "0 0 * * * Europe/Berlin"), ("@every 15m", "*/15 * * * *"),
        ("every 2 hours", "0 */2 * * *"),
        ("  0  6 ? jan MON ", "0 6 * jan MON"), ("* * * * * Etc/UTC", "* * * * *"),
    ]) func theTextIsWhatSidekiqCronReads(_ text: String, _ written: String) throws {
        #expect(try CronExpression(text).text == written)
        #expect(try CronExpression(written) == CronExpression(text))
    }
}

extension Timestamp {
    init(utc text: String) throws {
        self.init(microseconds: Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1_000_000)
    }
}
