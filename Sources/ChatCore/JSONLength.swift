extension UnsafeRawBufferPointer {
    /// The length of this UTF-8 text in a JSON string: what must be escaped takes up to six times its bytes.
    package var lengthInJSON: Int {
        var length = count
        for byte in self where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
            length += Self.isShort(byte) ? 1 : 5
        }
        return length
    }

    /// Whether a backslash and a letter stand for it.
    private static func isShort(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): true
        default: false
        }
    }
}

extension String {
    /// The length of this text in a JSON string, in bytes of UTF-8.
    package var lengthInJSON: Int {
        var text = self
        return text.withUTF8 { UnsafeRawBufferPointer($0).lengthInJSON }
    }
}
