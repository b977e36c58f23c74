import ChatCore
import Foundation

/// Writes JSON strings and arrays byte for byte like Ruby's `JSON.generate`, because Sidekiq finds an entry of a set by
/// parsing it and writing it again.
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
