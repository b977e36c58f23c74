import ChatCore
import ChatHTTP
import Logging

/// Writes the line of a request directly into the queue, because every request has one. The line is the same as any
/// other with these fields.
extension LineLogHandler: RequestLog {
    func log(_ line: RequestLine) {
        let level = line.level
        guard level >= logLevel else { return }
        // The caller's own id may contain any printable character.
        var given: String?
        if case .given(let text) = line.requestID { given = Self.quoted(text, as: format) }
        let time = WallClock.system.now()
        queue.append { bytes in
            switch format {
            case .json:
                bytes.append("{\"time\":\"")
                bytes.append(time)
                bytes.append(level == .info ? "\",\"level\":\"info" : "\",\"level\":\"debug")
                bytes.append("\",\"message\":\"request\",\"client\":\"")
                line.client.append(to: &bytes)
                bytes.append("\",\"duration_ms\":")
                bytes.append(milliseconds: line.microseconds)
                bytes.append(",\"method\":\"")
                bytes.append(contentsOf: line.methodName.utf8)
                bytes.append("\",\"request_id\":")
                if let given {
                    bytes.append(contentsOf: given.utf8)
                } else {
                    bytes.append("\"")
                    line.requestID.append(to: &bytes)
                    bytes.append("\"")
                }
                bytes.append(",\"route\":\"")
                bytes.append(contentsOf: line.route.utf8)
                bytes.append("\",\"status\":")
                bytes.append(decimal: Int64(line.status))
                bytes.append("}\n")
            case .human:
                bytes.append(time)
                bytes.append(level == .info ? " INFO request client=" : " DEBUG request client=")
                line.client.append(to: &bytes)
                bytes.append(" duration_ms=")
                bytes.append(milliseconds: line.microseconds)
                bytes.append(" method=")
                bytes.append(contentsOf: line.methodName.utf8)
                bytes.append(" request_id=")
                if let given { bytes.append(contentsOf: given.utf8) } else { line.requestID.append(to: &bytes) }
                bytes.append(" route=")
                bytes.append(contentsOf: line.route.utf8)
                bytes.append(" status=")
                bytes.append(decimal: Int64(line.status))
                bytes.append("\n")
            }
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append(contentsOf: $0) }
    }

    fileprivate mutating func append(_ time: Timestamp) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Timestamp.rfc3339Length) { buffer in
            time.writeRFC3339(to: buffer)
            append(contentsOf: buffer)
        }
    }

    /// In the format of a `Double`: `0.142`, `3.0`.
    fileprivate mutating func append(milliseconds microseconds: Int64) {
        append(decimal: microseconds / 1000)
        append(UInt8(ascii: "."))
        var (rest, place) = (microseconds % 1000, Int64(100))
        repeat {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / place))
            rest %= place
            place /= 10
        } while rest > 0
    }

    /// - Parameter value: not negative.
    fileprivate mutating func append(decimal value: Int64) {
        if value >= 10 { append(decimal: value / 10) }
        append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
    }
}
