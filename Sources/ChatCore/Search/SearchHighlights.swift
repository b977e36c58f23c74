/// Shows where the bodies of hits have the text that was searched for.
package struct SearchHighlights: Sendable {
    /// The most ranges of one body.
    package static let bound = 100

    private let needle: SearchNeedle
    private let isLiteral: Bool

    package init(_ text: SearchText) {
        isLiteral = text.needle == nil
        needle = text.needle ?? SearchNeedle(Array(text.text.utf8))
    }

    /// The ranges of each hit's body, within the turn of the search.
    ///
    /// - Throws: `CancellationError`.
    func ranges(ofHits messages: [Message]) throws -> [[Range<Int>]] {
        assert(ScanGate.isInTurn, "the tenant's turn is over")
        return try ranges(in: messages.map(\.body))
    }

    /// The ranges of each body. A page of bodies takes some milliseconds, and one without ASCII ten times as long.
    ///
    /// - Throws: `CancellationError`.
    package func ranges(in bodies: [String]) throws -> [[Range<Int>]] {
        var folded: [UInt8] = []
        return try bodies.map { body in
            try Task.checkCancellation()
            return ranges(in: body, &folded)
        }
    }

    /// The matches as ranges of the body's characters (Unicode scalars), ascending; none overlaps another.
    ///
    /// A character of which only a part matches, such as a ligature, is in the range whole. So are the marks after the
    /// match that a search ignores.
    ///
    /// - Parameter folded: a buffer, to be used again.
    private func ranges(in body: String, _ folded: inout [UInt8]) -> [Range<Int>] {
        var body = body
        let ranges = body.withUTF8 { rangesOfASCII(UnsafeRawBufferPointer($0), &folded) }
        return ranges ?? self.ranges(in: isLiteral ? MappedText(body) : MappedText(folding: body))
    }

    /// Each character is a byte, and folds to one.
    ///
    /// - Returns: nil if the text has other characters.
    private func rangesOfASCII(_ utf8: UnsafeRawBufferPointer, _ folded: inout [UInt8]) -> [Range<Int>]? {
        guard !isLiteral, utf8.isASCII else { return nil }
        let end = SearchFold.fold(utf8, into: &folded)
        guard end == utf8.count else { return nil }
        return folded.withUnsafeBytes { folded in
            let folded = UnsafeRawBufferPointer(rebasing: folded[..<end])
            var ranges: [Range<Int>] = []
            while ranges.count < Self.bound,
                let match = needle.nextMatch(in: folded, from: ranges.last?.upperBound ?? 0)
            {
                ranges.append(match..<match + needle.bytes.count)
            }
            return ranges
        }
    }

    private func ranges(in text: MappedText) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var (start, character) = (0, 0)
        text.bytes.withUnsafeBytes { bytes in
            while ranges.count < Self.bound, let match = needle.nextMatch(in: bytes, from: start) {
                start = match + needle.bytes.count
                let range = text.characters(of: match..<start, &character)
                // Two matches may have parts of one character.
                if let last = ranges.last, range.lowerBound < last.upperBound {
                    ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
                } else {
                    ranges.append(range)
                }
            }
        }
        return ranges
    }
}

/// A text as a search compares it, and where in that the text's characters are.
private struct MappedText {
    private struct Character {
        var start: Int
        var end: Int
        /// Whether it is a mark that folds to nothing. It belongs to the character before.
        var isIgnoredMark = false
    }

    private(set) var bytes: [UInt8]
    private var characters: [Character] = []

    /// The text as it is.
    init(_ text: String) {
        bytes = Array(text.utf8)
        var end = 0
        for scalar in text.unicodeScalars {
            let start = end
            end += UTF8.width(scalar)
            characters.append(Character(start: start, end: end))
        }
    }

    /// The folded text, made one scalar at a time, because `FoldTable` does not tell which letters it made of what.
    init(folding text: String) {
        let table = SearchFold.table
        let utf8 = Array(text.utf8)
        bytes = [UInt8](repeating: 0, count: utf8.count + FoldTable.longest)
        var (start, end) = (0, 0)
        characters.reserveCapacity(utf8.count)
        for scalar in text.unicodeScalars {
            if bytes.count < end + FoldTable.longest { bytes += [UInt8](repeating: 0, count: bytes.count) }
            let one = start..<start + UTF8.width(scalar)
            let (before, joined) = (end, table.letter(joinedBy: scalar.value, in: &bytes, end: end))
            utf8.withUnsafeBytes { utf8 in
                var read = 0
                bytes.withUnsafeMutableBytes {
                    table.fold(UnsafeRawBufferPointer(rebasing: utf8[one]), &read, into: $0, &end)
                }
            }
            start = one.upperBound
            if let joined { join(from: joined, to: end) }
            let isIgnored = joined == nil && end == before
            characters.append(
                Character(
                    start: joined ?? before, end: end, isIgnoredMark: isIgnored && scalar.properties.isMark))
        }
        bytes.removeLast(bytes.count - end)
    }

    /// The characters of which a letter was made, and those between them, all have that letter.
    private mutating func join(from start: Int, to end: Int) {
        for index in characters.indices.reversed() {
            guard characters[index].end > start else { return }
            characters[index].start = min(characters[index].start, start)
            characters[index].end = end
        }
    }

    /// The characters that have some of these bytes, and the ignored marks after them.
    ///
    /// - Parameter first: where to start looking; set to the first of them.
    func characters(of match: Range<Int>, _ first: inout Int) -> Range<Int> {
        while characters[first].end <= match.lowerBound { first += 1 }
        var end = first
        while end < characters.count, characters[end].start < match.upperBound || characters[end].isIgnoredMark {
            end += 1
        }
        return first..<end
    }
}

extension FoldTable {
    /// Where the letter before `end` begins, if the scalar makes another letter of it.
    fileprivate func letter(joinedBy scalar: UInt32, in folded: inout [UInt8], end: Int) -> Int? {
        folded.withUnsafeMutableBytes { startOfLetter(joinedBy: scalar, in: $0, end: end) }
    }
}

extension Unicode.Scalar.Properties {
    fileprivate var isMark: Bool { [.nonspacingMark, .spacingMark, .enclosingMark].contains(generalCategory) }
}
