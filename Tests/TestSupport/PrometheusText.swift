/// A strict reader of Prometheus' text format (0.0.4), with what `promtool check metrics` asks for beside the format.
package struct PrometheusText {
    package struct Sample: Hashable {
        package let name: String
        package let labels: [String: String]
    }

    private struct Family {
        let name: String
        var type: String?
    }

    /// The problems, one sentence each.
    package private(set) var problems: [String] = []
    package private(set) var samples: [Sample: Double] = [:]
    private var order: [Sample] = []
    private var types: [String: String] = [:]
    private var family = Family(name: "")

    package init(_ text: String) {
        if !text.hasSuffix("\n") { problems.append("The last line does not end.") }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() { read(String(line)) }
        for (name, type) in types where type == "histogram" { checkHistogram(name) }
    }

    /// The value of a sample; nil where there is none.
    package subscript(name: String, labels: [String: String]) -> Double? { samples[Sample(name: name, labels: labels)] }

    private mutating func read(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        if line.hasPrefix("# HELP ") {
            guard words.count == 4 else { return problems.append("No text: \(line)") }
            if types[words[2]] != nil { problems.append("A family twice: \(line)") }
            family = Family(name: words[2])
        } else if line.hasPrefix("# TYPE ") {
            guard words.count == 4, words[2] == family.name, family.type == nil else {
                return problems.append("TYPE does not follow HELP: \(line)")
            }
            family.type = words[3]
            types[words[2]] = words[3]
            if !["counter", "gauge", "histogram"].contains(words[3]) { problems.append("An unknown type: \(line)") }
            if (words[3] == "counter") != words[2].hasSuffix("_total") {
                problems.append("Counters alone end in _total: \(line)")
            }
        } else {
            readSample(line)
        }
    }

    private mutating func readSample(_ line: String) {
        let pattern = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/
        guard let match = line.wholeMatch(of: pattern), let value = Double(String(match.3).lowercased()),
            let labels = Self.labels(match.2.map(String.init) ?? "")
        else { return problems.append("Not a sample: \(line)") }
        let sample = Sample(name: String(match.1), labels: labels)
        let names =
            family.type == "histogram" ? ["_bucket", "_sum", "_count"].map { family.name + $0 } : [family.name]
        if family.type == nil || !names.contains(sample.name) { problems.append("Not of the family above: \(line)") }
        if samples.updateValue(value, forKey: sample) != nil { problems.append("A series twice: \(line)") }
        if family.type == "counter", !(value >= 0) { problems.append("A counter below 0: \(line)") }
        order.append(sample)
    }

    /// - Returns: nil for what are no labels.
    private static func labels(_ text: String) -> [String: String]? {
        var labels: [String: String] = [:]
        var rest = text[...]
        while !rest.isEmpty {
            guard let match = rest.prefixMatch(of: /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,(?!$)|$)/),
                labels.updateValue(String(match.2), forKey: String(match.1)) == nil
            else { return nil }
            rest = rest[match.range.upperBound...]
        }
        return labels
    }

    private mutating func checkHistogram(_ name: String) {
        func series(_ suffix: String) -> [Sample] { order.filter { $0.name == name + suffix } }
        let buckets = Dictionary(grouping: series("_bucket")) { $0.labels.filter { $0.key != "le" } }
        let sums = Set(series("_sum").map(\.labels))
        let counts = Set(series("_count").map(\.labels))
        if Set(buckets.keys) != sums || sums != counts { problems.append("\(name) lacks a bucket, a sum or a count.") }
        for (labels, buckets) in buckets {
            let bounds = buckets.map { Double($0.labels["le"]?.lowercased() ?? "") ?? .nan }
            let values = buckets.map { samples[$0] ?? .nan }
            if !zip(bounds, bounds.dropFirst()).allSatisfy(<) || bounds.last != .infinity {
                problems.append("\(name) \(labels): the bounds do not rise to +Inf.")
            }
            if !zip(values, values.dropFirst()).allSatisfy(<=) || values.last != self[name + "_count", labels] {
                problems.append("\(name) \(labels): the buckets do not rise to the count.")
            }
        }
    }
}
