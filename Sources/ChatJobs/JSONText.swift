import ChatCore
import Foundation

/// Writes JSON's smallest parts, byte for byte as Ruby's `JSON.generate` does: Sidekiq finds an entry of a set again by
/// reading it and writing it anew.
enum JSONText {
    /// A string with its quotes.
    static func bytes(_ text: String) -> [UInt8] { JSONWriter.bytes(of: text) }

    static func string(_ text: String) -> String { String(decoding: bytes(text), as: UTF8.self) }

    static func strings(_ texts: [String]) -> String { "[" + texts.map { string($0) }.joined(separator: ",") + "]" }

    /// Reads an array of strings, and skips other elements.
    static func readStrings(_ json: ArraySlice<UInt8>) -> [String] {
        // Nil for an array of something else.
        (try? JSONDecoder().decode([String].self, from: Data(json))) ?? []
    }
}
