import ChatCore
import Foundation

/// A JSON value as it is written. Its numbers keep their digits, of which a `Double` would lose some.
struct JSONText {
    let text: String

    static let null = JSONText(known: "null")

    /// - Returns: nil unless the bytes are one JSON value.
    init?(_ bytes: some Collection<UInt8>) {
        let isBlank: (UInt8) -> Bool = { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
        var bytes = Array(bytes.drop(while: isBlank))
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        guard var text = String(validating: bytes, as: UTF8.self) else { return nil }
        let isWhole = text.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            // For whatever reason, it is not JSON.
            do { try reader.value() } catch { return false }
            return reader.offset == utf8.count
        }
        guard isWhole else { return nil }
        self.text = text
    }

    /// - Throws: what the encoder throws.
    init(encoding value: some Encodable) throws {
        text = String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    private init(known text: String) { self.text = text }

    static func array(_ items: [JSONText]) -> JSONText {
        JSONText(known: "[\(items.map(\.text).joined(separator: ","))]")
    }

    /// - Parameter members: with names that need no escapes.
    static func object(_ members: [(name: String, value: JSONText)]) -> JSONText {
        JSONText(known: "{\(members.map { "\"\($0.name)\":\($0.value.text)" }.joined(separator: ","))}")
    }

    var isObject: Bool { text.utf8.first == UInt8(ascii: "{") }

    /// Null unless it is an object with that member.
    subscript(_ name: String) -> JSONText {
        guard isObject else { return .null }
        var found = JSONText.null
        read { reader in
            try reader.document { member, reader in
                let value = try reader.raw()
                if member == name { found = JSONText(known: value) }
            }
        }
        return found
    }

    /// Nil unless it is an array.
    var items: [JSONText]? {
        guard text.utf8.first == UInt8(ascii: "[") else { return nil }
        var items: [JSONText] = []
        read { try $0.array { items.append(JSONText(known: try $0.raw())) } }
        return items
    }

    private func read(_ body: (inout JSONReader) throws -> Void) {
        var text = text
        text.withUTF8 { utf8 in
            var reader = JSONReader(utf8: utf8)
            try? body(&reader)  // It was read before.
        }
    }

    /// For people: each member and element on a line.
    var lines: [String] {
        var (lines, line, depth) = ([String](), [UInt8](), 0)
        var (isInString, isEscaped, isEmpty) = (false, false, false)
        func end() {
            lines.append(String(decoding: line, as: UTF8.self))
            line = Array(repeating: UInt8(ascii: " "), count: 2 * depth)
        }
        for byte in text.utf8 {
            if isInString {
                line.append(byte)
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: continue
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if !isEmpty { end() }
                line.append(byte)
                isEmpty = false
                continue
            default:
                // What follows its beginning is in it.
                if isEmpty { end() }
                isEmpty = false
            }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                line.append(byte)
                depth += 1
                isEmpty = true
            case UInt8(ascii: ","):
                line.append(byte)
                end()
            case UInt8(ascii: ":"): line += Array(" : ".utf8)
            default:
                isInString = byte == UInt8(ascii: "\"")
                line.append(byte)
            }
        }
        end()
        return lines
    }
}
