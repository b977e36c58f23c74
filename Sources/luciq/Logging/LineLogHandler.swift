import ChatCore
import Logging

/// Writes one line for each event to standard error: for people on a terminal, else a JSON object.
struct LineLogHandler: LogHandler {
    enum Format { case human, json }

    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    let format: Format
    let queue: LogQueue

    init(format: Format, level: Logger.Level, queue: LogQueue = .standardError) {
        self.format = format
        self.logLevel = level
        self.queue = queue
        queue.onDrop { count in
            Self.line(.warning, "Log lines dropped", [("count", .stringConvertible(count))], as: format)
        }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        queue.append(Self.line(event.level, event.message.description, fields(of: event), as: format))
    }

    /// By name.
    private func fields(of event: LogEvent) -> [Logger.Metadata.Element] {
        var all = event.metadata ?? [:]
        for (key, value) in metadata where all[key] == nil { all[key] = value }
        return all.sorted { $0.key < $1.key }
    }

    static func line(
        _ level: Logger.Level, _ message: String, _ fields: [Logger.Metadata.Element], as format: Format
    ) -> String {
        var line = ""
        line.reserveCapacity(256)
        switch format {
        case .human: appendHuman(level, message, fields, to: &line)
        case .json: appendJSON(level, message, fields, to: &line)
        }
        line.append("\n")
        return line
    }

    /// A value as a line has it.
    static func quoted(_ text: String, as format: Format) -> String {
        var quoted = ""
        switch format {
        case .human: quoted.appendField(text)
        case .json: quoted.appendQuoted(text)
        }
        return quoted
    }

    private static func appendHuman(
        _ level: Logger.Level, _ message: String, _ fields: [Logger.Metadata.Element], to line: inout String
    ) {
        line += WallClock.system.now().rfc3339
        line += " \(level.rawValue.uppercased()) "
        // A message may have spaces; it is quoted if it could be read as a field or as another line.
        line.appendField(message, mayHaveBlanks: true)
        for (key, value) in fields {
            line += " "
            line.appendField(key)
            line += "="
            line.appendField(value.description)
        }
    }

    private static func appendJSON(
        _ level: Logger.Level, _ message: String, _ fields: [Logger.Metadata.Element], to line: inout String
    ) {
        line += "{\"time\":\"\(WallClock.system.now().rfc3339)\",\"level\":\"\(level.rawValue)\",\"message\":"
        line.appendQuoted(message)
        for (key, value) in fields {
            line += ","
            line.appendQuoted(key)
            line += ":"
            switch value {
            case .stringConvertible(let number as any Numeric): line.appendNumber("\(number)")
            case .string(let text): line.appendQuoted(text)
            default: line.appendQuoted(value.description)
            }
        }
        line += "}"
    }
}

extension String {
    /// Appends a value in logfmt, quoted if necessary.
    fileprivate mutating func appendField(_ text: String, mayHaveBlanks: Bool = false) {
        let isPlain = text.unicodeScalars.allSatisfy { scalar in
            switch scalar {
            case "\"", "\\", "=": false
            case " ": mayHaveBlanks
            default: !scalar.isCommand && !scalar.properties.isWhitespace
            }
        }
        isPlain && !text.isEmpty ? append(text) : appendQuoted(text)
    }

    /// Appends a JSON string without line breaks of any kind and without terminal control characters.
    fileprivate mutating func appendQuoted(_ text: String) {
        append("\"")
        defer { append("\"") }
        let isPlain = text.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
        guard !isPlain else { return append(text) }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\n": append("\\n")
            case "\r": append("\\r")
            case "\t": append("\\t")
            case _ where scalar.isCommand:
                let hex = String(scalar.value, radix: 16)
                append("\\u" + String(repeating: "0", count: 4 - hex.count) + hex)
            default: unicodeScalars.append(scalar)
            }
        }
    }

    /// JSON has no NaN and no infinity.
    fileprivate mutating func appendNumber(_ text: String) {
        ["nan", "inf", "-inf"].contains(text) ? appendQuoted(text) : append(text)
    }
}
