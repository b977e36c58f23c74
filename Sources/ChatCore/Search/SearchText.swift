import Foundation

/// A literal text to search for, ignoring case and accents.
///
/// It compares as MySQL's `utf8mb4_0900_ai_ci` does under `LIKE`: character by character, by primary weight of the
/// Unicode Collation Algorithm (DUCET 9.0). So `É` finds `e`, `ø` finds `o`, `カ` finds `か`; `й` is a letter of its own.
/// `ß` does not find `ss` (under `=`, MySQL says it does); a ligature such as `ﬁ` is found by its letters (under `LIKE`,
/// MySQL says it is not).
package struct SearchText: Sendable {
    /// The text as sent.
    package let text: String
    let folded: [UInt8]

    /// - Throws: `ChatError.invalid` if it is blank, longer than 255 characters, or has a null character.
    package init(_ text: String) throws(ChatError) {
        try Text.checkSearch(text)
        self.text = text
        var fold = SearchFold()
        self.folded = Array(text.utf8).withUnsafeBytes { bytes in fold.fold(bytes) { Array($0) } ?? [] }
    }
}

/// Searches many texts for one. It reuses its buffers and the folded needle, so use one for a whole search.
package struct SearchMatcher {
    private let needle: [UInt8]
    private let isExact: Bool
    private var fold = SearchFold()

    package init(_ text: SearchText) {
        // A text of accents only has no weight to compare: it is searched literally.
        self.isExact = text.folded.isEmpty
        self.needle = isExact ? Array(text.text.utf8) : text.folded
    }

    /// Whether the UTF-8 text contains the needle.
    package mutating func matches(_ utf8: UnsafeRawBufferPointer) -> Bool {
        if isExact { return Self.contains(needle, in: utf8) }
        let needle = needle
        return fold.fold(utf8) { Self.contains(needle, in: $0) } ?? false
    }

    private static func contains(_ needle: [UInt8], in haystack: UnsafeRawBufferPointer) -> Bool {
        // memmem is not in every platform's module; memchr does most of the work.
        guard var start = haystack.baseAddress else { return false }
        let end = start + haystack.count
        while end - start >= needle.count {
            guard let hit = memchr(start, Int32(needle[0]), end - start - needle.count + 1) else { return false }
            if memcmp(hit, needle, needle.count) == 0 { return true }
            start = UnsafeRawPointer(hit) + 1
        }
        return false
    }
}

/// Folds text into the bytes to compare.
struct SearchFold {
    private var scratch: [UInt8] = []
    private var known: [Unicode.Scalar: [UInt8]] = [:]

    /// Letters with the DUCET primary weight of another letter, although Unicode does not decompose them.
    private static let sameWeight: [Unicode.Scalar: Unicode.Scalar] = [
        "đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ς": "σ", "ґ": "г",
    ]
    /// Letters with a DUCET primary weight of their own, although Unicode decomposes them.
    private static let ownWeight: Set<Unicode.Scalar> = ["й", "Й", "آ", "أ", "ؤ", "إ", "ئ"]

    /// Calls `body` with the folded text; nil when the text is empty.
    mutating func fold<Result>(
        _ utf8: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        guard !utf8.isEmpty else { return nil }
        if scratch.count < utf8.count { scratch = Array(repeating: 0, count: utf8.count * 2) }
        var isASCII = true
        scratch.withUnsafeMutableBufferPointer { scratch in
            for (index, byte) in utf8.enumerated() {
                isASCII = isASCII && byte < 0x80
                scratch[index] = byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
            }
        }
        if isASCII { return scratch.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0.prefix(utf8.count))) } }
        var folded: [UInt8] = []
        folded.reserveCapacity(utf8.count)
        for scalar in String(decoding: utf8, as: UTF8.self).unicodeScalars { append(scalar, to: &folded) }
        return folded.withUnsafeBytes(body)
    }

    private mutating func append(_ scalar: Unicode.Scalar, to folded: inout [UInt8]) {
        if let bytes = known[scalar] { return folded.append(contentsOf: bytes) }
        let bytes = Self.fold(scalar)
        known[scalar] = bytes
        folded.append(contentsOf: bytes)
    }

    /// Decomposes, drops the marks, lowers the case, and folds the two kana into one.
    private static func fold(_ scalar: Unicode.Scalar) -> [UInt8] {
        let isHangul = (0xAC00...0xD7A3).contains(scalar.value)
        guard !isHangul, !ownWeight.contains(scalar) else { return Array(scalar.properties.lowercaseMapping.utf8) }
        let lowered = String(scalar).decomposedStringWithCompatibilityMapping.lowercased()
        var bytes: [UInt8] = []
        for part in lowered.decomposedStringWithCompatibilityMapping.unicodeScalars
        where part.properties.generalCategory != .nonspacingMark {
            let isKatakana = (0x30A1...0x30F6).contains(part.value)
            let folded = isKatakana ? Unicode.Scalar(part.value - 0x60)! : sameWeight[part] ?? part
            bytes.append(contentsOf: String(folded).utf8)
        }
        return bytes
    }
}
