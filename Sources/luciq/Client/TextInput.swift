import Foundation

/// Text that comes in pieces, as messages: a line each, or all of it as one.
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

    /// Of a message, in bytes of UTF-8.
    static let longest = 65_535

    let isLines: Bool
    private var pending: [UInt8] = []

    init(isLines: Bool) { self.isLines = isLines }

    /// - Returns: the lines that these bytes complete, without their ends; blank ones are none.
    mutating func read(_ bytes: some Sequence<UInt8>) throws(Invalid) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if isLines, byte == UInt8(ascii: "\n") {
                if let line = try take() { lines.append(line) }
                continue
            }
            pending.append(byte)
            // The end of the line does not count.
            guard pending.count <= Self.longest + 2 else { throw .tooLong }
        }
        return lines
    }

    /// - Returns: what the end of the input completes. A whole text loses its last line break: `echo` and editors add
    ///   one.
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
        // A whole text that is blank goes to the server, which says why not.
        return isLines && isBlank ? nil : text
    }
}
