import Foundation

/// Writes JSON's smallest parts, byte for byte as Ruby's `JSON.generate` does: Sidekiq finds an entry of a set again by
/// reading it and writing it anew.
enum JSONText {
    /// A string with its quotes.
    static func bytes(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 2)
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "b")]
            case 0x09: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case 0x0A: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0x0C: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "f")]
            case 0x0D: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            case 0..<0x20: bytes += Array("\\u00".utf8) + Array(hex([byte]).utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
        return bytes
    }

    static func string(_ text: String) -> String { String(decoding: bytes(text), as: UTF8.self) }

    static func strings(_ texts: [String]) -> String { "[" + texts.map { string($0) }.joined(separator: ",") + "]" }

    /// Reads an array of strings; what is none of that is left out.
    static func readStrings(_ json: ArraySlice<UInt8>) -> [String] {
        // Nil for an array of something else.
        (try? JSONDecoder().decode([String].self, from: Data(json))) ?? []
    }
}
