package import NIOCore

/// A value that is written as JSON, with its members in the API's order.
package protocol JSONWritable {
    func write(to json: inout JSONWriter)
}

extension Array: JSONWritable where Element: JSONWritable {
    package func write(to json: inout JSONWriter) {
        json.array { json in for element in self { json.element(element) } }
    }
}

/// A text that is JSON already.
package struct RawJSON: JSONWritable {
    private let text: String

    package init(text: String) { self.text = text }

    package func write(to json: inout JSONWriter) { json.buffer.writeString(text) }
}

/// Writes JSON directly into the buffer that is sent.
///
/// Foundation's encoder builds a tree, hashes every key, and writes the keys in another order in each process; a list
/// of 100 small messages took it 123 µs (docs/decisions/0003-json.md).
package struct JSONWriter {
    package fileprivate(set) var buffer: ByteBuffer
    private var needsComma = false

    package init(capacity: Int = 256) { self.buffer = ByteBufferAllocator().buffer(capacity: capacity) }

    package var bytes: [UInt8] { Array(buffer.readableBytesView) }

    /// A single string with its quotes.
    package static func bytes(of text: String) -> [UInt8] {
        var json = JSONWriter(capacity: text.utf8.count + 2)
        json.string(text)
        return json.bytes
    }

    package mutating func object(_ members: (inout JSONWriter) -> Void) { enclose("{", members, "}") }

    package mutating func array(_ elements: (inout JSONWriter) -> Void) { enclose("[", elements, "]") }

    package mutating func member(_ name: StaticString, _ value: Int64) {
        key(name)
        integer(value)
    }

    package mutating func member(_ name: StaticString, _ value: String) {
        key(name)
        string(value)
    }

    /// Null for nil.
    package mutating func member(_ name: StaticString, _ value: String?) {
        key(name)
        if let value { string(value) } else { buffer.writeStaticString("null") }
    }

    /// RFC 3339, with milliseconds.
    package mutating func member(_ name: StaticString, _ value: Timestamp) {
        key(name)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: Timestamp.rfc3339Length + 2) { bytes in
            let quote = UInt8(ascii: "\"")
            bytes[0] = quote
            value.writeRFC3339(to: UnsafeMutableRawBufferPointer(rebasing: bytes[1...]).bindMemory(to: UInt8.self))
            bytes[Timestamp.rfc3339Length + 1] = quote
            return Timestamp.rfc3339Length + 2
        }
    }

    package mutating func member(_ name: StaticString, _ value: Bool) {
        key(name)
        buffer.writeStaticString(value ? "true" : "false")
    }

    package mutating func member(_ name: StaticString, _ value: some JSONWritable) {
        key(name)
        needsComma = false
        value.write(to: &self)
        needsComma = true
    }

    package mutating func member(_ name: StaticString, _ value: [String]) {
        key(name)
        needsComma = false
        array { json in for text in value { json.element(text) } }
    }

    /// A member whose name is known only at run time.
    package mutating func member(named name: String, _ value: some JSONWritable) {
        key(named: name)
        needsComma = false
        value.write(to: &self)
        needsComma = true
    }

    package mutating func member(named name: String, _ value: Int64) {
        key(named: name)
        integer(value)
    }

    package mutating func member(named name: String, _ value: String) {
        key(named: name)
        string(value)
    }

    private mutating func key(named name: String) {
        separate()
        string(name)
        buffer.writeInteger(UInt8(ascii: ":"))
    }

    package mutating func element(_ value: some JSONWritable) {
        separate()
        needsComma = false
        value.write(to: &self)
        needsComma = true
    }

    package mutating func element(_ value: Int64) {
        separate()
        integer(value)
    }

    package mutating func element(_ value: String) {
        separate()
        string(value)
    }

    private mutating func enclose(_ open: StaticString, _ body: (inout JSONWriter) -> Void, _ close: StaticString) {
        buffer.writeStaticString(open)
        needsComma = false
        body(&self)
        buffer.writeStaticString(close)
        needsComma = true
    }

    /// - Parameter name: needs no escaping.
    private mutating func key(_ name: StaticString) {
        // In one piece: a name is written for each member of each item of a list.
        let length = name.utf8CodeUnitCount
        let needsComma = needsComma
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length + 4) { bytes in
            var end = 0
            if needsComma {
                bytes[0] = UInt8(ascii: ",")
                end = 1
            }
            bytes[end] = UInt8(ascii: "\"")
            bytes.baseAddress!.advanced(by: end + 1).copyMemory(from: name.utf8Start, byteCount: length)
            bytes[end + length + 1] = UInt8(ascii: "\"")
            bytes[end + length + 2] = UInt8(ascii: ":")
            return end + length + 3
        }
        self.needsComma = true
    }

    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func integer(_ value: Int64) { buffer.writeDecimal(value) }

    private mutating func string(_ value: String) { buffer.writeJSONString(value) }
}

extension ByteBuffer {
    /// Appends a value.
    package mutating func writeJSON(_ value: some JSONWritable) {
        var json = JSONWriter(capacity: 0)
        // The writer has the only reference meanwhile, so that nothing is copied.
        swap(&self, &json.buffer)
        value.write(to: &json)
        swap(&self, &json.buffer)
    }

    /// A string with its quotes. Escapes only the characters that JSON requires, with a letter if there is one (RFC
    /// 8259, 7). The result is byte for byte that of Ruby's `JSON.generate`, which jobs depend on (`ChatJobs`).
    package mutating func writeJSONString(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            let bytes = UnsafeRawBufferPointer(utf8)
            guard bytes.needsEscapesInJSON else {
                writeBytes(bytes)
                return
            }
            var start = 0
            for (index, byte) in utf8.enumerated() where byte.needsEscapeInJSON {
                writeBytes(utf8[start..<index])
                writeEscaped(byte)
                start = index + 1
            }
            writeBytes(utf8[start...])
        }
        writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeEscaped(_ byte: UInt8) {
        if let letter = byte.letterInJSON {
            writeMultipleIntegers(UInt8(ascii: "\\"), letter)
        } else {
            writeStaticString(byte < 0x10 ? "\\u000" : "\\u00")
            writeString(String(byte, radix: 16))
        }
    }

    /// Writes a number in decimal digits.
    package mutating func writeDecimal(_ value: Int64) {
        guard value >= 0 else {
            writeString(String(value))
            return
        }
        var (digits, rest) = (1, value)
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        writeWithUnsafeMutableBytes(minimumWritableBytes: digits) { bytes in
            var rest = value
            for place in stride(from: digits - 1, through: 0, by: -1) {
                bytes[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return digits
        }
    }
}

extension UInt8 {
    var needsEscapeInJSON: Bool { self < 0x20 || self == UInt8(ascii: "\"") || self == UInt8(ascii: "\\") }

    /// The letter of its escape; nil if it has none.
    var letterInJSON: UInt8? {
        switch self {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): self
        case 0x08: UInt8(ascii: "b")
        case 0x09: UInt8(ascii: "t")
        case 0x0A: UInt8(ascii: "n")
        case 0x0C: UInt8(ascii: "f")
        case 0x0D: UInt8(ascii: "r")
        default: nil
        }
    }
}
