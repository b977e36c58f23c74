import ChatCore
import Foundation
import Logging

/// One line an event on standard error: for people on a terminal, one JSON object elsewhere.
struct LineLogHandler: LogHandler {
    enum Format { case human, json }

    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level
    private let format: Format

    init(format: Format, level: Logger.Level) {
        self.format = format
        self.logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = fields(of: event)
        var line = ""
        line.reserveCapacity(256)
        switch format {
        case .human: appendHuman(event, fields, to: &line)
        case .json: appendJSON(event, fields, to: &line)
        }
        line.append("\n")
        // One write a line: lines of several threads do not mix.
        line.withUTF8 { _ = Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// By name, without the framework's own request id: ours is among them.
    private func fields(of event: LogEvent) -> [Logger.Metadata.Element] {
        var all = event.metadata ?? [:]
        for (key, value) in metadata where key != "hb.request.id" && all[key] == nil { all[key] = value }
        return all.sorted { $0.key < $1.key }
    }

    private func appendHuman(_ event: LogEvent, _ fields: [Logger.Metadata.Element], to line: inout String) {
        line += WallClock.system.now().rfc3339
        line += " \(event.level.rawValue.uppercased()) \(event.message)"
        for (key, value) in fields { line += " \(key)=\(value)" }
    }

    private func appendJSON(_ event: LogEvent, _ fields: [Logger.Metadata.Element], to line: inout String) {
        line += "{\"time\":\"\(WallClock.system.now().rfc3339)\",\"level\":\"\(event.level.rawValue)\",\"message\":"
        line.appendQuoted(event.message.description)
        for (key, value) in fields {
            line += ","
            line.appendQuoted(key)
            line += ":"
            switch value {
            case .stringConvertible(let number as any Numeric): line += "\(number)"
            case .string(let text): line.appendQuoted(text)
            default: line.appendQuoted(value.description)
            }
        }
        line += "}"
    }
}

extension String {
    /// Appends a JSON string.
    fileprivate mutating func appendQuoted(_ text: String) {
        append("\"")
        defer { append("\"") }
        let needsEscapes = text.utf8.contains { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }
        guard needsEscapes else { return append(text) }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": append("\\\"")
            case "\\": append("\\\\")
            case "\n": append("\\n")
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                append("\\u" + String(repeating: "0", count: 4 - hex.count) + hex)
            default: unicodeScalars.append(scalar)
            }
        }
    }
}
