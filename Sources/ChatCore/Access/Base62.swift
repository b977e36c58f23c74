/// A short text of base62 characters (`0-9A-Za-z`), at most 24. It is held in place, so that comparing and hashing it, which
/// each request does, cost as much as for three integers.
struct Base62: Hashable, Sendable {
    static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    /// The value of each ASCII character; 0xFF for others.
    private static let values: [UInt8] = (0..<128).map { character in
        alphabet.firstIndex(of: UInt8(character)).map { UInt8($0) } ?? 0xFF
    }

    // The characters from the first word's highest byte on; the rest is zero.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0

    /// - Returns: nil unless there are `count` characters, all of base62.
    init?(_ text: UnsafeRawBufferPointer, count: Int) {
        guard text.count == count else { return nil }
        for (index, character) in text.enumerated() {
            guard Self.value(of: character) != nil else { return nil }
            append(character, at: index)
        }
    }

    /// - Returns: likewise.
    init?(_ text: Substring, count: Int) {
        var text = text
        let parsed = text.withUTF8 { Base62(UnsafeRawBufferPointer($0), count: count) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// From the operating system's cryptographic generator.
    static func random(count: Int) -> Base62 {
        var generator = SystemRandomNumberGenerator()
        var text = Base62()
        for index in 0..<count { text.append(alphabet.randomElement(using: &generator)!, at: index) }
        return text
    }

    private init() {}

    private mutating func append(_ character: UInt8, at index: Int) {
        let bits = UInt64(character) << UInt64(56 - 8 * (index % 8))
        switch index / 8 {
        case 0: first |= bits
        case 1: second |= bits
        default: third |= bits
        }
    }

    var text: String {
        var text = ""
        for word in [first, second, third] {
            for shift in stride(from: 56, through: 0, by: -8) {
                let character = UInt8(truncatingIfNeeded: word >> UInt64(shift))
                if character != 0 { text.unicodeScalars.append(Unicode.Scalar(character)) }
            }
        }
        return text
    }

    /// - Returns: 0 to 61; nil for any other character.
    static func value(of character: UInt8) -> UInt8? {
        guard character < 128, values[Int(character)] < 62 else { return nil }
        return values[Int(character)]
    }

    /// The number in base62, with leading zeros.
    static func digits(of number: UInt32, count: Int) -> [UInt8] {
        var (digits, rest) = ([UInt8](repeating: alphabet[0], count: count), number)
        for place in stride(from: count - 1, through: 0, by: -1) {
            digits[place] = alphabet[Int(rest % 62)]
            rest /= 62
        }
        return digits
    }

    /// A large number, highest byte first, in base62, with leading zeros.
    static func digits(of bytes: [UInt8], count: Int) -> [UInt8] {
        var (digits, rest) = ([UInt8](repeating: alphabet[0], count: count), bytes)
        for place in stride(from: count - 1, through: 0, by: -1) {
            var remainder = 0
            for index in rest.indices {
                let value = remainder << 8 | Int(rest[index])
                rest[index] = UInt8(value / 62)
                remainder = value % 62
            }
            digits[place] = alphabet[remainder]
        }
        return digits
    }
}
