extension CronExpression {
    private static let aliases = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@noon": "0 12 * * *", "@hourly": "0 * * * *",
        "@minutely": "* * * * *",
    ]

    private static let fieldNames = [CronField.minute, .hour, .day, .month, .weekday]

    /// Reads five fields, an alias (`@daily`) or a period (`@every 15m`, `every 5 minutes`); after it a time zone,
    /// unless it is UTC.
    package init(_ text: String) throws(Invalid) {
        do throws(Invalid) {
            self = try Self.read(text)
        } catch {
            throw Invalid(
                description: "The cron expression “\(text.prefix(100))” cannot be used: \(error.description).")
        }
    }

    private static func read(_ text: String) throws(Invalid) -> CronExpression {
        guard text.utf8.count <= 1000 else { throw Invalid(description: "it is longer than 1000 bytes") }
        var words = text.split { $0 == " " || $0 == "\t" }
        guard let first = words.first else { throw Invalid(description: "it is empty") }
        if ["every", "@every"].contains(first.lowercased()) {
            words = try period(words.dropFirst())
        } else if first.hasPrefix("@") {
            guard let fields = aliases[first.lowercased()] else {
                throw Invalid(description: "“\(first)” is none of \(aliases.keys.sorted().joined(separator: ", "))")
            }
            words.replaceSubrange(0..<1, with: fields.split(separator: " "))
        }
        guard (5...6).contains(words.count) else {
            throw Invalid(
                description: "it has \(words.count) of the five fields minute, hour, day, month and day of the week")
        }
        return try read(fields: words[..<5], zone: words.count == 6 ? words[5] : "UTC")
    }

    private static func read(fields words: ArraySlice<Substring>, zone name: Substring) throws(Invalid)
        -> CronExpression
    {
        guard let zone = CronZone(String(name)) else {
            throw Invalid(
                description:
                    "“\(name)” is not a known time zone (such as Europe/Berlin), and there are no seconds")
        }
        var read: [CronField.Content] = []
        for (field, word) in zip(fieldNames, words) { read.append(try field.read(word)) }
        let fields = CronFields(
            minutes: read[0].numbers, hours: read[1].numbers, days: read[2].isAny ? nil : read[2].numbers,
            lastDay: read[2].lastDay, months: read[3].numbers, weekdays: read[4].isAny ? nil : read[4].numbers,
            isRealTime: read[0].hasStar || read[1].hasStar)
        guard fields.isPossible else { throw Invalid(description: "no month of it has such a day") }
        var text = words.joined(separator: " ").replacing("?", with: "*")
        if zone != .utc { text += " " + zone.name }
        return CronExpression(fields: fields, zone: zone, text: text)
    }

    /// Converts `5 minutes`, `hour`, `15m`, `1 day` and the rest of the text to fields.
    private static func period(_ words: ArraySlice<Substring>) throws(Invalid) -> [Substring] {
        var words = words
        guard let first = words.popFirst() else { throw Invalid(description: "it does not say how often") }
        let digits = first.prefix { $0.isASCII && $0.isNumber }
        // 15m, or the unit as a separate word, or only a unit.
        var unit = first.dropFirst(digits.count)
        if unit.isEmpty { unit = words.popFirst() ?? "" }
        guard let count = digits.isEmpty ? 1 : Int(digits), (1...100_000).contains(count) else {
            throw Invalid(description: "“\(first)” is not a period such as 15m, 2h, 1d, “5 minutes” or “hour”")
        }
        let minutes =
            switch unit.lowercased() {
            case "m", "min", "mins", "minute", "minutes": count
            case "h", "hour", "hours": count * 60
            case "d", "day", "days": count * 1440
            default: throw Invalid(description: "“\(first)” is not a period such as 15m, 2h, 1d, “5 minutes” or “hour”")
            }
        return try fields(every: minutes).split(separator: " ") + words
    }

    private static func fields(every minutes: Int) throws(Invalid) -> String {
        switch minutes {
        case 1: return "* * * * *"
        case 60: return "0 * * * *"
        case 1440: return "0 0 * * *"
        case let minutes where 60 % minutes == 0: return "*/\(minutes) * * * *"
        case let minutes where minutes % 60 == 0 && 1440 % minutes == 0: return "0 */\(minutes / 60) * * *"
        default:
            // sidekiq-cron supports only fields, and these cannot express it.
            throw Invalid(
                description: "a period must divide an hour into equal parts, or a day into equal parts of whole hours")
        }
    }
}
