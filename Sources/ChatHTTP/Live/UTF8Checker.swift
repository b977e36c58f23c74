/// Checks bytes that arrive in pieces for UTF-8 (RFC 3629, 4): no overlong forms, no surrogates, nothing past U+10FFFF.
/// It finds a wrong byte on arrival, before the text is complete.
struct UTF8Checker {
    /// Bytes that the current character still lacks.
    private var missing = 0
    /// The valid range of the next one.
    private var next: ClosedRange<UInt8> = 0x80...0xBF

    /// Whether the last character is complete.
    var isComplete: Bool { missing == 0 }

    /// - Returns: false if the bytes so far are not UTF-8; do not call it again then.
    mutating func check(_ bytes: UnsafeRawBufferPointer) -> Bool {
        for byte in bytes {
            if missing > 0 {
                guard next.contains(byte) else { return false }
                missing -= 1
                next = 0x80...0xBF
            } else if byte >= 0x80 {
                guard begin(byte) else { return false }
            }
        }
        return true
    }

    private mutating func begin(_ byte: UInt8) -> Bool {
        switch byte {
        case 0xC2...0xDF: missing = 1
        case 0xE0...0xEF: missing = 2
        case 0xF0...0xF4: missing = 3
        default: return false
        }
        switch byte {
        case 0xE0: next = 0xA0...0xBF
        case 0xED: next = 0x80...0x9F
        case 0xF0: next = 0x90...0xBF
        case 0xF4: next = 0x80...0x8F
        default: break
        }
        return true
    }
}
