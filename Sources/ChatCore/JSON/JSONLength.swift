extension UnsafeRawBufferPointer {
    /// The length of this UTF-8 text in a JSON string, where escaped characters take up to six times their bytes.
    package var lengthInJSON: Int {
        guard needsEscapesInJSON else { return count }
        var length = count
        for byte in self where byte.needsEscapeInJSON { length += byte.letterInJSON == nil ? 5 : 1 }
        return length
    }

    /// Whether a JSON string cannot hold this text as it is.
    var needsEscapesInJSON: Bool {
        var start = 0
        while start + 8 <= count {
            if loadUnaligned(fromByteOffset: start, as: UInt64.self).hasByteToEscapeInJSON { return true }
            start += 8
        }
        return self[start...].contains(where: \.needsEscapeInJSON)
    }
}

extension UInt64 {
    /// Whether one of its bytes must be escaped: all eight at once, because lists have much text to look through. See
    /// "Determine if a word has a byte less than n" and "… has a zero byte"
    /// (https://graphics.stanford.edu/~seander/bithacks.html).
    fileprivate var hasByteToEscapeInJSON: Bool {
        let (ones, tops): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x8080_8080_8080_8080)
        let (quote, backslash) = (self ^ ones &* 0x22, self ^ ones &* 0x5C)
        let found = (self &- ones &* 0x20) & ~self | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash
        return found & tops != 0
    }
}

extension String {
    /// The length of this text in a JSON string, in bytes of UTF-8.
    package var lengthInJSON: Int {
        var text = self
        return text.withUTF8 { UnsafeRawBufferPointer($0).lengthInJSON }
    }
}
