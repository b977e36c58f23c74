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

/// Writes JSON directly into the buffer that is sent.
///
/// Foundation's encoder builds a tree, hashes every key, and writes the keys in another order in each process; a list
/// of 100 small messages took it 123 µs (docs/decisions/0003-json.md).
package struct JSONWriter {
    package private(set) var buffer: ByteBuffer
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

    package mutating func element(_ value: some JSONWritable) {
        separate()
        needsComma = false
        value.write(to: &self)
        needsComma = true
    }

    private mutating func element(_ value: String) {
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
        separate()
        buffer.writeInteger(UInt8(ascii: "\""))
        buffer.writeStaticString(name)
        buffer.writeStaticString("\":")
    }

    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func integer(_ value: Int64) { buffer.writeString(String(value)) }

    private mutating func string(_ value: String) { buffer.writeJSONString(value) }
}

extension ByteBuffer {
    /// A string with its quotes. Escapes only the characters that JSON requires, with a letter if there is one (RFC
    /// 8259, 7). The result is byte for byte that of Ruby's `JSON.generate`, which jobs depend on (`ChatJobs`).
    package mutating func writeJSONString(_ text: String) {
        writeInteger(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            var start = 0
            for (index, byte) in utf8.enumerated()
            where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
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
}

extension UInt8 {
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
