/// A strict reader of one JSON text (RFC 8259), in one pass and without building a tree.
///
/// Foundation's decoder reads only what it is asked for: it accepts a trailing comma, and a bad number or invalid UTF-8
/// in a member that it does not read; it accepts UTF-16, and does not distinguish `1.0` from `1`
/// (docs/decisions/0003-json.md). This reader refuses all that is not JSON.
package struct JSONReader {
    /// What is wrong, and the byte where it is.
    package struct Failure: Error {
        package let reason: String
        package let offset: Int
    }

    /// Deeper nesting is refused, as by Ruby's parser.
    package static let deepest = 100

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depth = 0

    /// - Parameter utf8: valid UTF-8.
    package init(utf8: UnsafeBufferPointer<UInt8>) { self.bytes = utf8 }

    /// Reads a whole text that is one object.
    ///
    /// - Parameter member: called for every member, in order, with the reader before its value: it must read exactly
    ///   that.
    package mutating func document(_ member: (JSONName, inout JSONReader) throws -> Void) throws {
        skipSpace()
        guard current == UInt8(ascii: "{") else {
            try value()
            try end()
            throw Failure(reason: "The body must be a JSON object", offset: 0)
        }
        try object(member)
        try end()
    }

    /// The reader's position, in bytes from the start. Read it before and after `value()` to get the value's bytes.
    package var offset: Int { position }

    /// The first byte of the next value.
    package var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    package mutating func object(_ member: (JSONName, inout JSONReader) throws -> Void) throws {
        try descend()
        try expect(UInt8(ascii: "{"))
        skipSpace()
        if current != UInt8(ascii: "}") {
            while true {
                let name = try name()
                skipSpace()
                try expect(UInt8(ascii: ":"))
                skipSpace()
                try member(name, &self)
                skipSpace()
                guard current == UInt8(ascii: ",") else { break }
                position += 1
                skipSpace()
            }
        }
        try expect(UInt8(ascii: "}"))
        depth -= 1
    }

    /// Skips any value.
    package mutating func value() throws {
        switch current {
        case UInt8(ascii: "{"): try object { _, reader in try reader.value() }
        case UInt8(ascii: "["): try array { reader in try reader.value() }
        case UInt8(ascii: "\""): _ = try name()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: _ = try number()
        }
    }

    /// Reads any value.
    ///
    /// - Returns: as it is written.
    package mutating func raw() throws -> String {
        let start = position
        try value()
        return text(start..<position)
    }

    package mutating func literal(_ text: StaticString) throws {
        for index in 0..<text.utf8CodeUnitCount {
            guard current == text.utf8Start[index] else { throw failure }
            position += 1
        }
    }

    /// - Returns: the number as written.
    package mutating func number() throws -> Substring {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") { position += 1 } else { try digits() }
        if current == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if let exponent = current, exponent | 0x20 == UInt8(ascii: "e") {
            position += 1
            if let sign = current, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        return text(start..<position)[...]
    }

    package mutating func string() throws -> String { try name().text }

    /// Reads a member's name, or a string that is only compared with words, such as an `alg`: by its bytes, as names
    /// are.
    package mutating func name() throws -> JSONName {
        try expect(UInt8(ascii: "\""))
        let start = position
        var isEscaped = false
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return JSONName(
                    raw: UnsafeBufferPointer(rebasing: bytes[start..<position - 1]), isEscaped: isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                _ = try escape()
            case 0x20...: position += 1
            default: throw failure
            }
        }
        throw failure
    }

    /// A skipped string without its escapes, as UTF-8.
    fileprivate mutating func unescaped() -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        while let byte = current {
            if byte == UInt8(ascii: "\\"), let scalar = try? escape() {  // It was read before.
                result.append(contentsOf: Unicode.UTF8.encode(scalar)!)
            } else {
                result.append(byte)
                position += 1
            }
        }
        return result
    }

    /// - Parameter element: called for every element, in order, with the reader before it: it must read exactly that.
    package mutating func array(_ element: (inout JSONReader) throws -> Void) throws {
        try descend()
        try expect(UInt8(ascii: "["))
        skipSpace()
        if current != UInt8(ascii: "]") {
            while true {
                try element(&self)
                skipSpace()
                guard current == UInt8(ascii: ",") else { break }
                position += 1
                skipSpace()
            }
        }
        try expect(UInt8(ascii: "]"))
        depth -= 1
    }

    private mutating func escape() throws -> Unicode.Scalar {
        let start = position
        position += 1
        guard let kind = current else { throw failure }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(kind)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let first = try hexQuad()
            if let scalar = Unicode.Scalar(first) { return scalar }
            // Half of a surrogate pair: the other half must follow.
            guard first < 0xDC00, current == UInt8(ascii: "\\") else { throw failure(at: start) }
            position += 1
            guard current == UInt8(ascii: "u") else { throw failure(at: start) }
            position += 1
            let second = try hexQuad()
            guard (0xDC00...0xDFFF).contains(second) else { throw failure(at: start) }
            return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))!
        default: throw failure(at: start)
        }
    }

    private mutating func hexQuad() throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current else { throw failure }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw failure
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    private mutating func digits() throws {
        let start = position
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw failure }
    }

    private mutating func end() throws {
        skipSpace()
        guard current == nil else { throw failure }
    }

    private mutating func descend() throws {
        depth += 1
        guard depth <= Self.deepest else {
            throw Failure(reason: "The JSON is nested more than \(Self.deepest) deep", offset: position)
        }
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard current == byte else { throw failure }
        position += 1
    }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private func text(_ range: Range<Int>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self)
    }

    private var failure: Failure { failure(at: position) }

    private func failure(at offset: Int) -> Failure {
        Failure(reason: offset < bytes.count ? "The JSON is malformed" : "The JSON is cut off", offset: offset)
    }
}

/// A member's name as written, or a string that is compared as one; valid as long as the text.
///
/// Names are compared by their bytes (RFC 8259, 8.3). Comparing Swift strings normalises them first, which takes
/// seconds for some names of 256 KiB. With this type a name cannot be compared as a string by mistake, and rarely
/// becomes one.
package struct JSONName {
    /// Between the quotes.
    fileprivate let raw: UnsafeBufferPointer<UInt8>
    fileprivate let isEscaped: Bool

    package var text: String {
        guard isEscaped else { return String(decoding: raw, as: UTF8.self) }
        var reader = JSONReader(utf8: raw)
        return String(decoding: reader.unescaped(), as: UTF8.self)
    }

    package static func ~= (name: StaticString, member: JSONName) -> Bool {
        name.withUTF8Buffer { member.isSame($0) }
    }

    package static func == (member: JSONName, name: String) -> Bool {
        var name = name
        return name.withUTF8 { member.isSame($0) }
    }

    private func isSame(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
        guard isEscaped else { return raw.elementsEqual(name) }
        // An escape is at most six times as long as its character.
        guard raw.count <= 6 * name.count else { return false }
        var reader = JSONReader(utf8: raw)
        return reader.unescaped().elementsEqual(name)
    }
}
