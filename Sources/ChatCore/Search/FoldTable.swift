/// What each Unicode scalar folds to, by index: a page for every 128 scalars, an entry for each scalar of a page. One
/// page serves all scalars that fold to themselves, so the table takes some 130 kB.
struct FoldTable: Sendable {
    /// The most bytes that one scalar folds to.
    static let longest = 64

    /// The top byte of an entry.
    private enum Kind {
        /// It folds to itself.
        static let same: UInt32 = 0
        /// It folds to as many bytes; the entry holds them, the first one lowest.
        static let bytes: ClosedRange<UInt32> = 1...3
        static let nothing: UInt32 = 4
        /// The rest of the entry is an index of `long`, where a length precedes the bytes.
        static let long: UInt32 = 5
        /// Added to a kind: it may make another letter of the letter before it.
        static let sign: UInt32 = 0x80
    }

    private var pages = [UInt16](repeating: 0, count: 0x11_0000 >> 7)
    private var entries = [UInt32](repeating: 0, count: 128)
    private var long: [UInt8] = []
    /// Letters and signs (`key`), and what they make.
    private var pairs: [UInt64] = []
    private var joined: [UInt32] = []

    /// - Parameters:
    ///   - letters: what scalars fold to, as scripts/fold-table writes it.
    ///   - joins: letters, the signs after them, and what both make; likewise.
    init(letters: StaticString, joins: StaticString) {
        for (letters, members) in Self.groups(letters) {
            let entry = entry(of: letters)
            for scalar in members { set(scalar, to: entry) }
        }
        for (pair, letter) in Self.groups(joins) {
            pairs.append(Self.key(pair[0], pair[1]))
            joined.append(letter.lowerBound)
            markAsSign(pair[1])
        }
        for scalar in Hangul.vowels { markAsSign(scalar) }
        for scalar in Hangul.finals { markAsSign(scalar) }
    }

    /// Folds `utf8` from `read` on, until it ends or `out` has less than `longest` bytes left.
    func fold(
        _ utf8: UnsafeRawBufferPointer, _ read: inout Int, into out: UnsafeMutableRawBufferPointer, _ written: inout Int
    ) {
        pages.withUnsafeBufferPointer { pages in
            entries.withUnsafeBufferPointer { entries in
                var (from, to) = (read, written)
                while from < utf8.count, to + Self.longest <= out.count {
                    let first = utf8[from]
                    if first < 0x80, first > 0 {
                        if from + 8 <= utf8.count,
                            let word = Self.lowered(utf8.loadUnaligned(fromByteOffset: from, as: UInt64.self))
                        {
                            out.storeBytes(of: word, toByteOffset: to, as: UInt64.self)
                            from += 8
                            to += 8
                        } else {
                            out[to] = first &- 0x41 < 26 ? first | 0x20 : first
                            from += 1
                            to += 1
                        }
                        continue
                    }
                    guard let (scalar, length) = Self.scalar(utf8, at: from) else {
                        to += Self.write(0xFFFD, to: out, at: to)
                        from += 1
                        continue
                    }
                    let entry = entries[Int(pages[Int(scalar >> 7)]) << 7 | Int(scalar & 127)]
                    if entry >> 24 >= Kind.sign, let (letter, start) = join(scalar, to: out, end: to) {
                        to = start + Self.write(letter, to: out, at: start)
                    } else {
                        switch entry >> 24 & ~Kind.sign {
                        case Kind.same:
                            if from + 4 <= utf8.count {
                                let bytes = utf8.loadUnaligned(fromByteOffset: from, as: UInt32.self)
                                out.storeBytes(of: bytes, toByteOffset: to, as: UInt32.self)
                            } else {
                                for index in 0..<length { out[to + index] = utf8[from + index] }
                            }
                            to += length
                        case Kind.nothing: break
                        case Kind.long: to += copy(long: Int(entry & 0xFFFF), to: out, at: to)
                        case let count:
                            out.storeBytes(of: entry.littleEndian, toByteOffset: to, as: UInt32.self)
                            to += Int(count)
                        }
                    }
                    from += length
                }
                (read, written) = (from, to)
            }
        }
    }

    /// Eight bytes in lower case; nil if one of them is NUL or not ASCII.
    private static func lowered(_ word: UInt64) -> UInt64? {
        let (each, top): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        guard (word | (word &- each)) & top == 0 else { return nil }
        let capitals = (word &+ (0x80 - 0x41) * each) & ~(word &+ (0x80 - 0x5B) * each) & top
        return word | capitals >> 2
    }

    /// The scalar and its length; nil if it is malformed.
    @inline(__always)
    private static func scalar(_ utf8: UnsafeRawBufferPointer, at start: Int) -> (UInt32, Int)? {
        let first = UInt32(utf8[start])
        let left = utf8.count - start
        // Six bits; more for a byte that does not continue a scalar.
        func bits(_ index: Int) -> UInt32 { UInt32(utf8[start + index]) ^ 0x80 }
        switch first {
        case ..<0x80: return (first, 1)
        case 0xC2..<0xE0 where left >= 2 && bits(1) < 0x40: return ((first & 0x1F) << 6 | bits(1), 2)
        case 0xE0..<0xF0 where left >= 3 && bits(1) | bits(2) < 0x40:
            let scalar = (first & 0x0F) << 12 | bits(1) << 6 | bits(2)
            return scalar < 0x800 || scalar & 0xF800 == 0xD800 ? nil : (scalar, 3)
        case 0xF0..<0xF5 where left >= 4 && bits(1) | bits(2) | bits(3) < 0x40:
            let scalar = (first & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3)
            return (0x1_0000...0x10_FFFF).contains(scalar) ? (scalar, 4) : nil
        default: return nil
        }
    }

    private static func write(_ scalar: UInt32, to out: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        guard let scalar = Unicode.Scalar(scalar) else { return 0 }
        for (index, byte) in scalar.utf8.enumerated() { out[start + index] = byte }
        return scalar.utf8.count
    }

    private func copy(long index: Int, to out: UnsafeMutableRawBufferPointer, at start: Int) -> Int {
        let count = Int(long[index])
        long.withUnsafeBytes { long in
            UnsafeMutableRawBufferPointer(rebasing: out[start...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: long[(index + 1)...(index + count)]))
        }
        return count
    }

    /// What the sign makes of the letter before `end`, and where that begins.
    private func join(
        _ sign: UInt32, to out: UnsafeMutableRawBufferPointer, end: Int
    ) -> (letter: UInt32, start: Int)? {
        var start = end - 1
        while start >= 0, out[start] & 0xC0 == 0x80 { start -= 1 }
        guard start >= 0, let (letter, _) = Self.scalar(UnsafeRawBufferPointer(out), at: start) else { return nil }
        if let syllable = Hangul.join(letter, sign) { return (syllable, start) }
        return pairs.firstIndex(of: Self.key(letter, sign)).map { (joined[$0], start) }
    }

    /// Where the letter before `end` begins, if the scalar makes another letter of it.
    func startOfLetter(joinedBy scalar: UInt32, in out: UnsafeMutableRawBufferPointer, end: Int) -> Int? {
        entry(scalar) >> 24 >= Kind.sign ? join(scalar, to: out, end: end)?.start : nil
    }

    private static func key(_ letter: UInt32, _ sign: UInt32) -> UInt64 { UInt64(letter) << 32 | UInt64(sign) }

    private func entry(_ scalar: UInt32) -> UInt32 { entries[Int(pages[Int(scalar >> 7)]) << 7 | Int(scalar & 127)] }

    private mutating func set(_ scalar: UInt32, to entry: UInt32) {
        let page = Int(scalar >> 7)
        if pages[page] == 0 {
            pages[page] = UInt16(entries.count >> 7)
            entries += [UInt32](repeating: 0, count: 128)
        }
        entries[Int(pages[page]) << 7 | Int(scalar & 127)] = entry
    }

    private mutating func markAsSign(_ scalar: UInt32) { set(scalar, to: entry(scalar) | Kind.sign << 24) }

    private mutating func entry(of letters: [UInt32]) -> UInt32 {
        let bytes = letters.compactMap(Unicode.Scalar.init).flatMap { Array(UTF8.encode($0)!) }
        if bytes.isEmpty { return Kind.nothing << 24 }
        if let length = UInt32(exactly: bytes.count), Kind.bytes.contains(length) {
            return bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } | length << 24
        }
        defer { long += [UInt8(bytes.count)] + bytes }
        return Kind.long << 24 | UInt32(long.count)
    }

    /// Reads "LETTERS= MEMBERS": scalars in hexadecimal, letters with "+" between them, a member alone or as the first
    /// and the last of a range.
    private static func groups(_ data: StaticString) -> [(letters: [UInt32], members: ClosedRange<UInt32>)] {
        var groups: [([UInt32], ClosedRange<UInt32>)] = []
        var (letters, number, first): ([UInt32], UInt32?, UInt32?) = ([], nil, nil)
        var isNewGroup = true
        data.withUTF8Buffer { data in
            for byte in data + [UInt8(ascii: " ")] {
                switch byte {
                case UInt8(ascii: "+"), UInt8(ascii: "="):
                    if isNewGroup { letters = [] }
                    if let number { letters.append(number) }
                    isNewGroup = byte == UInt8(ascii: "=")
                    number = nil
                case UInt8(ascii: "-"): (first, number) = (number, nil)
                case UInt8(ascii: "0")...UInt8(ascii: "9"): number = (number ?? 0) << 4 | UInt32(byte & 0xF)
                case UInt8(ascii: "A")...UInt8(ascii: "F"): number = (number ?? 0) << 4 | UInt32(byte & 0xF) + 9
                default:
                    if let last = number { groups.append((letters, (first ?? last)...last)) }
                    (number, first) = (nil, nil)
                }
            }
        }
        return groups
    }
}

/// The parts of a Hangul syllable (Unicode, section 3.12).
private enum Hangul {
    private static let initials: Range<UInt32> = 0x1100..<0x1113
    static let vowels: Range<UInt32> = 0x1161..<0x1176
    static let finals: Range<UInt32> = 0x11A8..<0x11C3
    private static let syllables: Range<UInt32> = 0xAC00..<0xD7A4
    /// Of one initial and one vowel: without a final consonant, and with each.
    private static let forms: UInt32 = 28

    /// The syllable of a letter, or of a syllable without a final consonant, and the part after it.
    static func join(_ letter: UInt32, _ part: UInt32) -> UInt32? {
        if initials.contains(letter), vowels.contains(part) {
            let index = (letter - initials.lowerBound) * UInt32(vowels.count) + part - vowels.lowerBound
            return syllables.lowerBound + index * forms
        }
        if syllables.contains(letter), (letter - syllables.lowerBound) % forms == 0, finals.contains(part) {
            return letter + part - finals.lowerBound + 1
        }
        return nil
    }
}
