import Foundation

/// Splits text that arrives in pieces into messages: one for each line, or one for all.
struct TextInput {
    enum Invalid: Error, Equatable {
        case tooLong
        case notUTF8

        var sentence: String {
            switch self {
            case .tooLong: "Body is too long (maximum is \(TextInput.longest) bytes)."
            case .notUTF8: "The text is not valid UTF-8."
            }
        }
    }

    /// The most bytes of UTF-8 in a message.
    static let longest = 65_535

    let isLines: Bool
    private var pending: [UInt8] = []

    init(isLines: Bool) { self.isLines = isLines }

    /// - Returns: the lines that these bytes complete, without line breaks and blank lines.
    mutating func read(_ bytes: some Sequence<UInt8>) throws(Invalid) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if isLines, byte == UInt8(ascii: "\n") {
                if let line = try take() { lines.append(line) }
                continue
            }
            pending.append(byte)
            // The line break does not count.
            guard pending.count <= Self.longest + 2 else { throw .tooLong }
        }
        return lines
    }

    /// - Returns: the last message. A whole text loses its last line break, which `echo` and editors add.
    mutating func end() throws(Invalid) -> String? {
        if !isLines, pending.last == UInt8(ascii: "\n") { pending.removeLast() }
        return try take()
    }

    private mutating func take() throws(Invalid) -> String? {
        defer { pending.removeAll(keepingCapacity: true) }
        if pending.last == UInt8(ascii: "\r") { pending.removeLast() }
        guard pending.count <= Self.longest else { throw .tooLong }
        guard let text = String(validating: pending, as: UTF8.self) else { throw .notUTF8 }
        let isBlank = text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
        // A blank whole text goes to the server, which answers why it refuses it.
        return isLines && isBlank ? nil : text
    }
}
