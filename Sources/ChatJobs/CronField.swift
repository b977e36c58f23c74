/// One of the five fields, with its valid values.
struct CronField {
    /// The field's content.
    struct Content {
        /// Bit n for n.
        var numbers: UInt64 = 0
        /// A `*`, alone or in a list, or `?`.
        var isAny = false
        /// Begins with `*`, steps or not.
        var hasStar = false
        var lastDay = false
    }

    let name: String
    let numbers: ClosedRange<Int>
    var names: [String] = []
    var isDay = false
    var isWeekday = false

    static let minute = CronField(name: "minute", numbers: 0...59)
    static let hour = CronField(name: "hour", numbers: 0...23)
    static let day = CronField(name: "day of the month", numbers: 1...31, isDay: true)
    static let month = CronField(
        name: "month", numbers: 1...12,
        names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
    static let weekday = CronField(
        name: "day of the week", numbers: 0...6, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        isWeekday: true)

    /// - Throws: the reason, for the end of a sentence.
    func read(_ text: Substring) throws(CronExpression.Invalid) -> Content {
        var content = Content()
        for element in text.split(separator: ",", omittingEmptySubsequences: false) {
            try read(element, into: &content)
        }
        return content
    }

    private func read(_ element: Substring, into content: inout Content) throws(CronExpression.Invalid) {
        if element == "?", isDay || isWeekday {
            content.isAny = true
            return
        }
        if isDay, ["l", "last"].contains(element.lowercased()) {
            content.lastDay = true
            return
        }
        let parts = element.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { throw refusal(element) }
        let step = parts.count == 2 ? try step(parts[1], in: element) : 1
        if parts[0] == "*" {
            content.hasStar = true
            if step == 1 { content.isAny = true }
            add(numbers.lowerBound, numbers.upperBound, step, to: &content)
            return
        }
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count <= 2 else { throw refusal(element) }
        let first = try number(bounds[0], in: element)
        if bounds.count == 1 {
            // fugit takes 5/15 for 5-59/15, but 5/1 for 5, and in the days of the week it ignores the step.
            guard parts.count == 1 else {
                throw .init(
                    description: "“\(element)” has a step but no range: write \(first)-\(numbers.upperBound)/\(step)")
            }
            return add(first, first, 1, to: &content)
        }
        var last = try number(bounds[1], in: element)
        if last < first { last += numbers.count }  // Around the end, such as fri-mon.
        add(first, last, step, to: &content)
    }

    private func add(_ first: Int, _ last: Int, _ step: Int, to content: inout Content) {
        for number in stride(from: first, through: last, by: step) {
            let wrapped = (number - numbers.lowerBound) % numbers.count + numbers.lowerBound
            content.numbers |= 1 << UInt64(wrapped)
        }
    }

    private func step(_ text: Substring, in element: Substring) throws(CronExpression.Invalid) -> Int {
        guard isDecimal(text), let step = Int(text) else { throw refusal(element) }
        // fugit divides by zero for a step of 0, and takes a step that is too long as the first number only.
        guard (1...numbers.count - 1).contains(step) else {
            throw .init(description: "the step in “\(element)” must be from 1 to \(numbers.count - 1)")
        }
        return step
    }

    private func number(_ text: Substring, in element: Substring) throws(CronExpression.Invalid) -> Int {
        if let index = names.firstIndex(of: text.lowercased()) { return numbers.lowerBound + index }
        let upperBound = isWeekday ? 7 : numbers.upperBound  // 7 is Sunday as well.
        guard isDecimal(text), let number = Int(text), (numbers.lowerBound...upperBound).contains(number) else {
            throw refusal(element)
        }
        return number
    }

    private func isDecimal(_ text: Substring) -> Bool {
        (1...2).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private func refusal(_ element: Substring) -> CronExpression.Invalid {
        let names = names.isEmpty ? "" : " or \(names[0])-\(names[names.count - 1])"
        let bounds = "\(numbers.lowerBound)-\(isWeekday ? 7 : numbers.upperBound)"
        return .init(
            description: "“\(element)” is not a valid \(name) (\(bounds)\(names), with *, lists, ranges and steps)")
    }
}
