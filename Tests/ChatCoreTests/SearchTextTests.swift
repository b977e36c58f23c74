import Foundation
import TestSupport
import Testing

@testable import ChatCore

@Suite(.timeLimit(.minutes(2))) struct SearchTextTests {
    private func folded(_ text: some StringProtocol) -> [UInt8] {
        var folded: [UInt8] = []
        Array(text.utf8).withUnsafeBytes { SearchFold.append($0, to: &folded) }
        return folded
    }

    private func finds(_ query: String, in texts: [String]) throws -> [String] {
        var matcher = SearchMatcher(try SearchText(query))
        return texts.filter { text in Array(text.utf8).withUnsafeBytes { matcher.matches($0) } }
    }

    @Test(arguments: SearchCase.all)
    func finds(_ example: SearchCase) throws {
        #expect(try finds(example.query, in: example.found + example.missed) == example.found)
    }

    @Test func anEmptyTextContainsNothing() throws {
        #expect(try finds("a", in: [""]) == [])
        #expect(try finds("é", in: [""]) == [])
        #expect(try finds("\u{301}", in: [""]) == [])
    }

    /// Canonical equivalents are one text (Unicode, section 1.1.2), so they must fold alike.
    @Test func composedAndDecomposedTextFoldAlike() {
        let different = Self.scalars.filter { scalar in
            guard let age = scalar.properties.age, age.major <= 15 else { return false }
            let text = "x\(scalar)y"
            let (composed, decomposed) =
                (text.precomposedStringWithCanonicalMapping, text.decomposedStringWithCanonicalMapping)
            guard Array(composed.utf8) != Array(decomposed.utf8) else { return false }
            let expected = folded(text)
            return folded(composed) != expected || folded(decomposed) != expected
        }
        #expect(different == [])
    }

    @Test func foldedTextIsUTF8WithoutNULThatFoldsToItself() {
        let wrong = Self.scalars.filter { scalar in
            let letters = folded(String(scalar))
            guard let text = String(validating: letters, as: UTF8.self), !letters.contains(0) else { return true }
            return letters != Array(String(scalar).utf8) && folded(text) != letters
        }
        #expect(wrong == [])
    }

    /// All that may fold to another.
    private static let scalars = [0...0x3_FFFF, 0xE_0000...0xE_0FFF].joined().compactMap { Unicode.Scalar(UInt32($0)) }

    @Test(arguments: [
        ([0x61, 0x80, 0x62], "a\u{FFFD}b"), ([0xC3], "\u{FFFD}"), ([0xC0, 0x80], "\u{FFFD}\u{FFFD}"),
        ([0xE0, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xED, 0xA0, 0x80, 0x41], "\u{FFFD}\u{FFFD}\u{FFFD}a"),
        ([0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"), ([0x41, 0x00, 0x42], "ab"),
        ([0xF0, 0x9F, 0x98], "\u{FFFD}\u{FFFD}\u{FFFD}"), ([0xE2, 0x82, 0xC3, 0x89], "\u{FFFD}\u{FFFD}e"),
    ])
    func malformedTextFoldsToReplacements(_ bytes: [UInt8], _ expected: String) {
        var folded: [UInt8] = []
        bytes.withUnsafeBytes { SearchFold.append($0, to: &folded) }
        #expect(folded == Array(expected.utf8))
    }

    @Test func foldedTextIsAppended() {
        var all: [UInt8] = Array("I\u{306}".utf8)
        // The sign belongs to no letter of the text before.
        for text in ["\u{306}X", "", "ﷺ", "и", "\u{306}Y"] {
            Array(text.utf8).withUnsafeBytes { SearchFold.append($0, to: &all) }
        }
        #expect(all == Array("I\u{306}x".utf8) + folded("ﷺ") + Array("иy".utf8))
    }

    @Test func aNeedleFindsEveryMatchInOrder() throws {
        let needle = try #require(try SearchText("aNa").needle)
        let text = Array("banana\0an\0ana".utf8)
        var found: [Int] = []
        text.withUnsafeBytes { text in
            var start = 0
            while let match = needle.nextMatch(in: text, from: start) {
                found.append(match)
                start = match + 1
            }
            #expect(needle.nextMatch(in: text, from: text.count) == nil)
            #expect(needle.nextMatch(in: text, from: text.count + 9) == nil)
        }
        #expect(found == [1, 3, 10])
        #expect(needle.nextMatch(in: UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
        #expect(try SearchText("\u{301}").needle == nil)
    }

    /// Random texts of a few letters, so that there are many matches and near misses; all that a search does, and the
    /// same without any short cut.
    @Test(arguments: 0..<28 as Range<UInt64>)
    func theMatcherAgreesWithAPlainOne(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let alphabet = Self.alphabets[Int(seed) % Self.alphabets.count]
        for _ in 0..<20 {
            let (query, texts) = Self.query(of: alphabet, &random)
            let needle = folded(query)
            guard let search = try? SearchText(query), let wanted = search.needle else { continue }
            var matcher = SearchMatcher(search)
            for text in texts {
                let haystack = folded(text)
                let expected = (0..<max(0, haystack.count - needle.count + 1)).filter { start in
                    !needle.indices.contains { haystack[start + $0] != needle[$0] }
                }
                let isFound = Array(text.utf8).withUnsafeBytes { matcher.matches($0) }
                #expect(isFound == !expected.isEmpty, "\(seed): \(query.debugDescription) in \(text.debugDescription)")
                var found: [Int] = []
                haystack.withUnsafeBytes { haystack in
                    while let match = wanted.nextMatch(in: haystack, from: found.last.map { $0 + 1 } ?? 0) {
                        found.append(match)
                    }
                }
                #expect(found == expected, "\(seed): \(query.debugDescription) in \(text.debugDescription)")
            }
        }
    }

    private static let alphabets: [[String]] = [
        ["a", "b"], ["e", " ", "t"], ["a", "A", "á", "b", "ä", "x"], ["z", "Z", "q", "Q", " "],
        ["k", "K", "\u{212A}", "m", "㎞", "ﬁ", "f", "i", "I"], ["и", "й", "\u{306}", "И", "d", "1"],
        ["ก", "ิ", "ั", "น", "้", "ำ", "\u{E4D}", "า", "n"], ["1", "١", "۱", "①", "0", "⑩"],
        ["\u{1112}", "\u{1161}", "\u{11AB}", "한", "하", "h"], ["👍", "🏽", "\u{FE0F}", "\u{200D}", "u", "中", "丈"],
        ["ﷺ", "ل", "ا", "\u{651}", "s"], ["%", "_", "\\", "'", "é", "\n", "\t", "\u{1}"],
        ["𝓔", "e", "é", "E", "ю"], ["ß", "s", "S", "ẞ", "æ", "a", "e"],
    ]

    private static func query(
        of alphabet: [String], _ random: inout SeededRandom
    ) -> (query: String, texts: [String]) {
        func text(_ lengths: ClosedRange<Int>, _ random: inout SeededRandom) -> String {
            (0..<Int.random(in: lengths, using: &random)).map { _ in alphabet.randomElement(using: &random)! }.joined()
        }
        var texts = (0..<6).map { _ in text(0...40, &random) } + [text(200...400, &random)]
        var query = text(1...5, &random)
        if Bool.random(using: &random), let long = texts.last?.unicodeScalars.dropFirst(50).prefix(100) {
            // Up to all that a query may have.
            query = String(String.UnicodeScalarView(long.suffix(Int.random(in: 6...100, using: &random))))
        }
        texts.append(query)
        texts.append("\(query)\(texts[0])")
        texts.append("\(texts[1])\(query)")
        return (query, texts)
    }
}
