extension UnsafeRawBufferPointer {
    /// The length of this UTF-8 text in a JSON string, where escaped characters take up to six times their bytes.
    package var lengthInJSON: Int {
        var length = count
        for byte in self where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
            length += byte.letterInJSON == nil ? 5 : 1
        }
        return length
    }
}

extension String {
    /// The length of this text in a JSON string, in bytes of UTF-8.
    package var lengthInJSON: Int {
        var text = self
        return text.withUTF8 { UnsafeRawBufferPointer($0).lengthInJSON }
    }
}
