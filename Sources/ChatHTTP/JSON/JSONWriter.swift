package import NIOCore

/// Something that is written as JSON, with its members in the order of the contract.
package protocol JSONWritable {
    func write(to json: inout JSONWriter)
}

/// Writes JSON straight into the buffer that is sent.
///
/// Foundation's encoder builds a tree, hashes every key and writes them in an order that changes with each start of
/// the process; a list of 100 small messages took it 123 µs (docs/decisions/0003-json.md).
package struct JSONWriter {
    package private(set) var buffer: ByteBuffer
    private var needsComma = false

    init(capacity: Int = 256) { self.buffer = ByteBufferAllocator().buffer(capacity: capacity) }

    mutating func object(_ members: (inout JSONWriter) -> Void) { enclose("{", members, "}") }

    mutating func array(_ elements: (inout JSONWriter) -> Void) { enclose("[", elements, "]") }

    mutating func member(_ name: StaticString, _ value: Int64) {
        key(name)
        integer(value)
    }

    mutating func member(_ name: StaticString, _ value: String) {
        key(name)
        string(value)
    }

    /// Null for nil.
    mutating func member(_ name: StaticString, _ value: String?) {
        key(name)
        if let value { string(value) } else { buffer.writeStaticString("null") }
    }

    mutating func member(_ name: StaticString, _ value: Bool) {
        key(name)
        buffer.writeStaticString(value ? "true" : "false")
    }

    mutating func member(_ name: StaticString, _ value: some JSONWritable) {
        key(name)
        needsComma = false
        value.write(to: &self)
        needsComma = true
    }

    mutating func member(_ name: StaticString, _ value: [String]) {
        key(name)
        needsComma = false
        array { json in for text in value { json.element(text) } }
    }

    mutating func element(_ value: some JSONWritable) {
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

    private mutating func string(_ value: String) {
        buffer.writeInteger(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { utf8 in
            var start = 0
            for (index, byte) in utf8.enumerated()
            where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                buffer.writeBytes(utf8[start..<index])
                escape(byte)
                start = index + 1
            }
            buffer.writeBytes(utf8[start...])
        }
        buffer.writeInteger(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): buffer.writeStaticString("\\\"")
        case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
        case UInt8(ascii: "\n"): buffer.writeStaticString("\\n")
        case UInt8(ascii: "\r"): buffer.writeStaticString("\\r")
        case UInt8(ascii: "\t"): buffer.writeStaticString("\\t")
        default:
            buffer.writeStaticString(byte < 0x10 ? "\\u000" : "\\u00")
            buffer.writeString(String(byte, radix: 16))
        }
    }
}
