import Foundation

/// A literal text to search for, ignoring case and accents (docs/search.md).
package struct SearchText: Sendable {
    /// The text as sent.
    package let text: String
    /// What to search folded text for; nil if the text folds to nothing, such as an accent alone. Such a text is searched
    /// as it is, in text that is not folded.
    package let needle: SearchNeedle?

    /// - Throws: `ChatError.invalid` if it is blank, longer than 255 characters, or has a null character.
    package init(_ text: String) throws(ChatError) {
        try Text.checkSearch(text)
        self.text = text
        var folded: [UInt8] = []
        Array(text.utf8).withUnsafeBytes { SearchFold.append($0, to: &folded) }
        needle = folded.isEmpty ? nil : SearchNeedle(folded)
    }
}

/// Searches many texts for one. It keeps a buffer, so use one for a whole search.
package struct SearchMatcher {
    private let needle: SearchNeedle
    private let isLiteral: Bool
    /// Bytes of which text in ASCII has one if it matches: the needle's rarest, in either case. None if the needle is not
    /// ASCII.
    private let signs: [CInt]
    private var folded: [UInt8] = []

    package init(_ text: SearchText) {
        isLiteral = text.needle == nil
        needle = text.needle ?? SearchNeedle(Array(text.text.utf8))
        let byte = needle.rarestByte
        let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        let isASCII = needle.bytes.allSatisfy { $0 < 0x80 }
        signs = isASCII ? [CInt(byte)] + (isLetter ? [CInt(byte - 0x20)] : []) : []
    }

    /// Whether the UTF-8 text contains the needle.
    package mutating func matches(_ utf8: UnsafeRawBufferPointer) -> Bool {
        if isLiteral { return needle.nextMatch(in: utf8) != nil }
        guard mayMatch(utf8) else { return false }
        let end = SearchFold.fold(utf8, into: &folded)
        return folded.withUnsafeBytes { needle.nextMatch(in: UnsafeRawBufferPointer(rebasing: $0[..<end])) != nil }
    }

    /// Spares text in ASCII from being folded. Other text may fold to any letter: `K` (U+212A) to `k`, `ﬁ` to `fi`.
    private func mayMatch(_ utf8: UnsafeRawBufferPointer) -> Bool {
        guard let start = utf8.baseAddress else { return false }
        return signs.contains { memchr(start, $0, utf8.count) != nil } || !utf8.isASCII
    }
}

extension UnsafeRawBufferPointer {
    var isASCII: Bool {
        let words = count / 8
        var all: UInt64 = 0
        for word in 0..<words { all |= loadUnaligned(fromByteOffset: word * 8, as: UInt64.self) }
        return all & 0x8080_8080_8080_8080 == 0 && self[(words * 8)...].allSatisfy { $0 < 0x80 }
    }
}
