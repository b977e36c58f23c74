// Names and words of HTTP are ASCII, and compared as bytes: `==` of strings normalises first, which takes a fifth of a second
// for some headers of 60 KiB.

extension StringProtocol {
    /// Whether this equals the name (in lower case), ignoring case.
    func isName(_ name: StaticString) -> Bool { utf8.isName(name) }
}

extension Collection<UInt8> {
    /// Whether this equals the name (in lower case), ignoring case.
    func isName(_ name: StaticString) -> Bool {
        guard count == name.utf8CodeUnitCount else { return false }
        return name.withUTF8Buffer { name in zip(self, name).allSatisfy { $0.lowercased == $1 } }
    }
}

extension UInt8 {
    var lowercased: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }

    /// A character of a method or of a field's name (RFC 9110, 5.6.2).
    var isInToken: Bool { self < 0x80 && Self.tokenTable[Int(self)] }

    private static let tokenTable: [Bool] = (0..<128).map { byte in
        let byte = UInt8(byte)
        return switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    var isBlank: Bool { self == 0x20 || self == 0x09 }

    /// A byte of a field's value (RFC 9110, 5.5).
    var isInValue: Bool { self >= 0x20 && self != 0x7F || self == 0x09 }

    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
